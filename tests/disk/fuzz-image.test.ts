import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatNamed } from '@anillo/disk/formats';
import { FUZZ_CREATIONS } from './fuzz-creations.ts';
import { fuzzImages } from './fuzz-image.ts';

for (const [name, creations] of Object.entries(FUZZ_CREATIONS))
  test(`${name}: damaged images do no harm`, async () => {
    const { failures, opened } = await fuzzImages({ format: formatNamed(name)!, cases: 300, seed: 7, creations });
    assert.deepEqual(failures, []);
    assert.ok(opened > 0, 'some are still images');
  });
