// The host's end of a memory balloon, for users of the library: `import { BalloonControl } from 'anillo/balloon-control'`.

import { BalloonControl as DeviceBalloonControl } from '@anillo/devices/virtio/balloon-control';

/** `targetBytes`: what the guest is to give; `heldBytes`: what it has given; `statistics()`: how its memory is. */
export class BalloonControl extends DeviceBalloonControl {}
