// The part of YAML 1.1 that user data is written in: block mappings and lists, flow lists and mappings, plain and quoted scalars on one line, block scalars, comments. Anchors, tags,
// several documents and scalars over several lines are refused by line. Scalars are text, but for true, false and null; numbers are not told from text.

import { AnilloError } from '@anillo/base/anillo-error';

export type YamlValue = string | boolean | null | readonly YamlValue[] | YamlMap;
export interface YamlMap {
  readonly [key: string]: YamlValue;
}

const WORDS: Readonly<Record<string, boolean | null>> = {
  ...{ true: true, yes: true, on: true, false: false, no: false, off: false },
  ...{ '': null, '~': null, null: null },
};
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', 0: '\0', a: '\x07', b: '\b', e: '\x1b', f: '\f', v: '\v' };
const MOST_DEPTH = 50;

const refuse = (line: number, what: string): AnilloError =>
  new AnilloError('BAD_OPTION', `The user data cannot be read at line ${line}: ${what}.`);

/** Where a comment begins, or the line's end. */
function contentEnd(text: string): number {
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const letter = text[i];
    if (quote === '"' && letter === '\\') i++;
    else if (quote !== '') quote = letter === quote ? '' : quote;
    else if ((letter === '"' || letter === "'") && (i === 0 || /[\s,[{:]/.test(text[i - 1]))) quote = letter;
    else if (letter === '#' && (i === 0 || /\s/.test(text[i - 1]))) return i;
  }
  return text.length;
}

function quotedEnd(text: string, at: number, line: number): number {
  const quote = text[at];
  for (let i = at + 1; i < text.length; i++) {
    if (quote === '"' && text[i] === '\\') i++;
    else if (text[i] === quote) {
      if (quote === "'" && text[i + 1] === "'") i++;
      else return i + 1;
    }
  }
  throw refuse(line, 'a quoted text does not end on its line');
}

function unquote(text: string): string {
  const inner = text.slice(1, -1);
  if (text[0] === "'") return inner.replaceAll("''", "'");
  return inner.replaceAll(/\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)/g, (_, escape: string) =>
    /^[xu]./.test(escape) ? String.fromCodePoint(Number.parseInt(escape.slice(1), 16)) : (ESCAPES[escape] ?? escape),
  );
}

function plain(text: string, line: number): YamlValue {
  if (/^[&*!%@`|>?]/.test(text)) throw refuse(line, `"${text[0]}" at the beginning of a value is not supported; put the value into quotes`);
  const word = text.toLowerCase();
  return Object.hasOwn(WORDS, word) ? WORDS[word] : text;
}

/** `[a, {b: c}]`, in one text. */
class FlowParser {
  readonly #text: string;
  readonly #line: number;
  #at = 0;

  constructor(text: string, line: number) {
    this.#text = text;
    this.#line = line;
  }

  parse(): YamlValue {
    const value = this.#value(0);
    this.#skip();
    if (this.#at < this.#text.length) throw refuse(this.#line, `"${this.#text.slice(this.#at)}" stands behind a value`);
    return value;
  }

  #skip(): void {
    while (/\s/.test(this.#text[this.#at] ?? '')) this.#at++;
  }

  #value(depth: number): YamlValue {
    if (depth > MOST_DEPTH) throw refuse(this.#line, 'it is nested too deeply');
    this.#skip();
    const open = this.#text[this.#at];
    if (open === '[') return this.#items(']', () => this.#value(depth + 1));
    if (open !== '{') return this.#scalar();
    const pairs = this.#items('}', () => {
      const key = String(this.#scalar());
      this.#skip();
      if (this.#text[this.#at] !== ':') return [key, null] as const;
      this.#at++;
      return [key, this.#value(depth + 1)] as const;
    });
    return Object.fromEntries(pairs);
  }

  #items<T>(close: string, item: () => T): T[] {
    this.#at++;
    const items: T[] = [];
    for (;;) {
      this.#skip();
      if (this.#at >= this.#text.length) throw refuse(this.#line, `"${close}" is missing`);
      if (this.#text[this.#at] === close) break;
      items.push(item());
      this.#skip();
      if (this.#text[this.#at] === ',') this.#at++;
      else if (this.#text[this.#at] !== close) throw refuse(this.#line, `"," or "${close}" is missing`);
    }
    this.#at++;
    return items;
  }

  #scalar(): YamlValue {
    this.#skip();
    const start = this.#at;
    if (/["']/.test(this.#text[start] ?? '')) {
      this.#at = quotedEnd(this.#text, start, this.#line);
      return unquote(this.#text.slice(start, this.#at));
    }
    const rest = this.#text.slice(start);
    const end = rest.search(/[,[\]{}]|:(\s|$)/);
    this.#at = end < 0 ? this.#text.length : start + end;
    if (this.#at === start) throw refuse(this.#line, 'a value is missing');
    return plain(this.#text.slice(start, this.#at).trim(), this.#line);
  }
}

class BlockParser {
  readonly #lines: string[];
  #at = 0;

  constructor(text: string) {
    this.#lines = text.replaceAll('\r\n', '\n').split('\n');
  }

  parse(): YamlValue {
    if (this.#next() !== undefined && /^---\s*$/.test(this.#lines[this.#at])) this.#at++;
    const value = this.#next() === undefined ? null : this.#node(0, 0);
    if (this.#next() !== undefined) throw refuse(this.#at + 1, 'it is indented in a way that fits nothing above');
    return value;
  }

  /** The indent of the next line with content. */
  #next(): number | undefined {
    for (; this.#at < this.#lines.length; this.#at++) {
      const line = this.#lines[this.#at];
      const content = line.slice(0, contentEnd(line)).trimEnd();
      if (content.trim() === '') continue;
      const indent = content.length - content.trimStart().length;
      if (content.slice(0, indent).includes('\t')) throw refuse(this.#at + 1, 'it is indented by a tab; use spaces');
      return indent;
    }
    return undefined;
  }

  #content(): string {
    const line = this.#lines[this.#at];
    return line.slice(0, contentEnd(line)).trim();
  }

  #node(least: number, depth: number): YamlValue {
    if (depth > MOST_DEPTH) throw refuse(this.#at + 1, 'it is nested too deeply');
    const indent = this.#next();
    if (indent === undefined || indent < least) return null;
    const content = this.#content();
    if (/^-(\s|$)/.test(content)) return this.#list(indent, depth);
    if (keyOf(content, this.#at + 1) !== undefined) return this.#map(indent, depth);
    return this.#value(content, indent, depth);
  }

  #list(indent: number, depth: number): readonly YamlValue[] {
    const items: YamlValue[] = [];
    while (this.#next() === indent && /^-(\s|$)/.test(this.#content())) {
      // What stands behind the dash is a node of its own, as far to the right.
      const line = this.#lines[this.#at];
      this.#lines[this.#at] = `${' '.repeat(indent + 1)}${line.slice(indent + 1)}`;
      if (this.#content() === '') this.#at++;
      items.push(this.#node(indent + 1, depth + 1));
    }
    return items;
  }

  #map(indent: number, depth: number): YamlMap {
    const entries = new Map<string, YamlValue>();
    for (let next = this.#next(); next === indent; next = this.#next()) {
      const line = this.#at + 1;
      const found = keyOf(this.#content(), line);
      if (found === undefined) throw refuse(line, 'a key with ":" is missing');
      const [key, rest] = found;
      if (entries.has(key)) throw refuse(line, `"${key}" is there twice`);
      if (rest !== '') entries.set(key, this.#value(rest, indent, depth + 1));
      else {
        this.#at++;
        const below = this.#next();
        const isList = below === indent && /^-(\s|$)/.test(this.#content());
        entries.set(key, below === undefined || (below <= indent && !isList) ? null : this.#node(below, depth + 1));
      }
    }
    return Object.fromEntries(entries);
  }

  /** What begins on this line, behind a key or a dash. */
  #value(text: string, indent: number, depth: number): YamlValue {
    const line = this.#at + 1;
    if (/^[|>][-+0-9]*$/.test(text)) return this.#blockScalar(text, indent);
    if (/^[[{]/.test(text)) return this.#flow(text, line);
    this.#at++;
    let value: YamlValue;
    if (/^["']/.test(text)) {
      if (quotedEnd(text, 0, line) !== text.length) throw refuse(line, 'something stands behind a quoted text');
      value = unquote(text);
    } else value = plain(text, line);
    const next = this.#next();
    if (next !== undefined && next > indent && depth >= 0) throw refuse(this.#at + 1, 'a value goes on here; write it as a block with "|" or on one line');
    return value;
  }

  /** Goes on until its brackets are closed. */
  #flow(first: string, line: number): YamlValue {
    let text = first;
    for (this.#at++; !isBalanced(text) && this.#next() !== undefined; this.#at++) text += ` ${this.#content()}`;
    return new FlowParser(text, line).parse();
  }

  #blockScalar(head: string, indent: number): string {
    const explicit = /\d/.exec(head)?.[0];
    const taken: string[] = [];
    let own = explicit === undefined ? undefined : indent + Number(explicit);
    for (this.#at++; this.#at < this.#lines.length; this.#at++) {
      const line = this.#lines[this.#at];
      if (line.trim() === '') {
        taken.push(own === undefined ? '' : line.slice(own));
        continue;
      }
      const depth = line.length - line.trimStart().length;
      own ??= depth > indent ? depth : undefined;
      if (own === undefined || depth < own) break;
      taken.push(line.slice(own));
    }
    while (taken.at(-1)?.trim() === '' && !head.includes('+')) taken.pop();
    const text = head[0] === '|' ? taken.join('\n') : fold(taken);
    return head.includes('-') || text === '' ? text : `${text}\n`;
  }
}

/** Lines become one, but for empty ones and those that are indented further. */
function fold(lines: readonly string[]): string {
  let text = lines[0] ?? '';
  for (let i = 1; i < lines.length; i++) {
    const keeps = lines[i] === '' || lines[i - 1] === '' || /^\s/.test(lines[i]) || /^\s/.test(lines[i - 1]);
    text += keeps ? `${lines[i] === '' ? '\n' : lines[i - 1] === '' ? lines[i] : `\n${lines[i]}`}` : ` ${lines[i]}`;
  }
  return text;
}

function isBalanced(text: string): boolean {
  const bare = text.replaceAll(/"(?:\\.|[^"\\])*"|'(?:''|[^'])*'/g, '');
  return (bare.match(/[[{]/g) ?? []).length <= (bare.match(/[\]}]/g) ?? []).length;
}

/** `key: rest`; undefined where the text is none. */
function keyOf(text: string, line: number): readonly [key: string, rest: string] | undefined {
  if (/^["']/.test(text)) {
    const end = quotedEnd(text, 0, line);
    const rest = /^\s*:(?:\s+(.*))?$/.exec(text.slice(end));
    return rest === null ? undefined : [unquote(text.slice(0, end)), rest[1] ?? ''];
  }
  const match = /^([^\s[{&*!|>%@`"'#,][^#]*?)\s*:(?:\s+(.*))?$/.exec(text);
  return match === null ? undefined : [match[1], match[2] ?? ''];
}

/** AnilloError BAD_OPTION with the line. */
export function parseYaml(text: string): YamlValue {
  return new BlockParser(text).parse();
}
