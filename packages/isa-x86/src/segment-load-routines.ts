// Loading ES, DS, FS and GS at level 0 with a null selector or a writable data segment, where that leaves the mode as it is (in flat 32-bit code: flat ES and DS):
// the frequent case of `loadSegment` in segments.ts, in IR.

import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import { DescriptorBuilder, WRITABLE_DATA } from './descriptor-builder.ts';
import { DS, ES, FS, GS, SEGMENT_BASE } from './state.ts';
import { StateBuilder } from './state-builder.ts';

type I32 = Value<'i32'>;

/** (selector) -> done. `wide`: for 64-bit code; else for flat 32-bit code. */
const segmentLoad = (segment: number, name: string, wide: boolean): Routine =>
  routine({
    name: `load${name}${wide ? 64 : 32}`,
    params: ['i32'],
    result: 'i32',
    reads: 'none',
    writes: [SEGMENT_BASE[segment]],
    traps: true,
    build: (b, [value]) => {
      const s = new StateBuilder(b);
      const descriptors = new DescriptorBuilder(s, wide);
      const staysFlat = !wide && segment < FS;
      const selector = b.temp('i32', value as I32);
      const done = b.temp('i32', b.i32(0));
      const load = (): void =>
        descriptors.fetch(selector, (d) => {
          const isData = s.matches(b.get(d.high), WRITABLE_DATA.MASK, WRITABLE_DATA.IS);
          const isAllowed = b.leU(b.and(b.get(selector), b.i32(3)), descriptors.level(d));
          b.if(s.all(isData, isAllowed, staysFlat ? descriptors.isFlat(d) : b.i32(1)), () => {
            s.setSegment(segment, descriptors.segment(selector, d));
            b.set(done, b.i32(1));
          });
        });
      const setNull = (): void => {
        s.setSegment(segment, { selector: b.get(selector), base: b.i64(0), limit: b.i32(0), attributes: b.i32(0) });
        b.set(done, b.i32(1));
      };
      b.if(b.and(s.isLevel0(), s.isSupervisorTlb()), () => {
        if (staysFlat) load();
        else b.if(b.and(b.get(selector), b.i32(0xfffc)), load, setNull);
      });
      return b.get(done);
    },
  });

const NAMES = [[ES, 'Es'], [DS, 'Ds'], [FS, 'Fs'], [GS, 'Gs']] as const;

/** By segment number. */
const family = (wide: boolean): ReadonlyMap<number, Routine> => new Map(NAMES.map(([segment, name]) => [segment, segmentLoad(segment, name, wide)]));
export const SEGMENT_LOADS_64 = family(true);
export const SEGMENT_LOADS_32 = family(false);
export const SEGMENT_LOAD_ROUTINES: readonly Routine[] = [...SEGMENT_LOADS_64.values(), ...SEGMENT_LOADS_32.values()];
