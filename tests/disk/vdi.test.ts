import { testFormat } from './format-suite.ts';
import { VDI } from '@anillo/disk/vdi/vdi';

testFormat({
  ...{ format: VDI, qemuName: 'vdi', hasCheck: true },
  creations: [{}, { static: 'on' }],
  qemuOptions: ['', 'static=on'],
});
