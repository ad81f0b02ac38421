// Names that a client holds on to: a file is remembered by its name in its folder's node, so that what is renamed is found where it is now, with all below it, and
// what was removed is found nowhere, also when something else gets its name.

import { FileTreeError, type TreePath } from './file-tree.ts';

const MOST_DEPTH = 1024;

export class NameNode {
  parent: NameNode | undefined;
  name: string;
  isGone = false;
  uses = 0;
  readonly children = new Map<string, NameNode>();

  constructor(parent: NameNode | undefined, name: string) {
    this.parent = parent;
    this.name = name;
  }

  /** FileTreeError ENOENT for what is gone. */
  path(): TreePath {
    const names: string[] = [];
    let node: NameNode = this;
    for (; node.parent !== undefined; node = node.parent) {
      if (node.isGone) throw new FileTreeError('ENOENT');
      if (names.push(node.name) > MOST_DEPTH) throw new FileTreeError('ENAMETOOLONG');
    }
    return names.reverse();
  }

  isWithin(folder: NameNode): boolean {
    for (let node: NameNode | undefined = this; node !== undefined; node = node.parent) if (node === folder) return true;
    return false;
  }
}

export class NameTree {
  readonly root = new NameNode(undefined, '');

  /** Held until `release`. */
  child(parent: NameNode, name: string): NameNode {
    let node = parent.children.get(name);
    if (node === undefined) {
      node = new NameNode(parent, name);
      parent.children.set(name, node);
      parent.uses++;
    }
    return this.hold(node);
  }

  hold(node: NameNode): NameNode {
    node.uses++;
    return node;
  }

  release(released: NameNode): void {
    let node: NameNode | undefined = released;
    while (node !== undefined && --node.uses <= 0 && node.parent !== undefined) {
      if (!node.isGone) node.parent.children.delete(node.name);
      node = node.parent;
    }
  }

  /** What had that name is nowhere now. */
  removed(parent: NameNode, name: string): void {
    const node = parent.children.get(name);
    if (node === undefined) return;
    parent.children.delete(name);
    node.isGone = true;
  }

  renamed(from: NameNode, name: string, to: NameNode, newName: string): void {
    if (from === to && name === newName) return;
    this.removed(to, newName);
    const node = from.children.get(name);
    if (node === undefined) return;
    if (to.isWithin(node)) {
      this.removed(from, name); // only if others than the client have moved folders meanwhile
      return;
    }
    from.children.delete(name);
    node.parent = to;
    node.name = newName;
    to.children.set(newName, node);
    to.uses++;
    this.release(from);
  }
}
