// A cable whose other end is the test's: it remembers what is sent, has room or not, and says what arrives.

import type { FrameSink, FrameWork, NetBackend } from '../virtio/net-backend.ts';

export class RecordedNetwork implements NetBackend {
  takesWork = true;
  takesUdpSegments = true;
  isUp = true;
  hasSpace = true;
  receiver: FrameSink | undefined = undefined;
  onRoom: (() => void) | undefined = undefined;
  onUp: (() => void) | undefined = undefined;
  readonly sent: { readonly frame: Uint8Array; readonly work: FrameWork | undefined }[] = [];
  /** Times that the device has said that it has room. */
  rooms = 0;
  /** Answers each frame within the call. */
  answer: ((frame: Uint8Array, work: FrameWork | undefined) => void) | undefined = undefined;

  send(frame: Uint8Array, work: FrameWork | undefined): boolean {
    if (!this.hasSpace) return false;
    this.sent.push({ frame: frame.slice(), work });
    this.answer?.(frame, work);
    return true;
  }

  hasRoom(): void {
    this.rooms++;
  }

  plug(isUp: boolean): void {
    this.isUp = isUp;
    this.onUp?.();
  }
}
