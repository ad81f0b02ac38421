import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { checkMachineOptions } from 'anillo';
import { DEVICES } from 'anillo/registry';
import { deviceHelp, deviceList, parseDevice } from './device-options.ts';

test('a device and its properties are taken apart; a switch may stand alone', () => {
  assert.deepEqual(parseDevice('edu'), { model: 'edu' });
  assert.deepEqual(parseDevice('edu,addr=5.1,dma_mask=0xff'), { model: 'edu', addr: '5.1', dma_mask: '0xff' });
  assert.deepEqual(parseDevice('intel-iommu,intremap,caching-mode=off'), { model: 'intel-iommu', intremap: 'on', 'caching-mode': 'off' });
  assert.equal(parseDevice('edu,model=pvpanic').model, 'edu');
});

test('what is wrong is said in one sentence', () => {
  for (const [text, says] of [
    ['', /There is no device ""/],
    ['intel-iomu', /did you mean intel-iommu\?/],
    ['edu,addr', /edu does not take "addr"; write its properties as KEY=VALUE\./],
    ['edu,', /edu does not take ""/],
    ['edu,=4', /edu does not take "=4"/],
    ['edu,adr=4', /Device edu has no property "adr"; it has addr, dma_mask, bus\./],
    ['edu,addr=40', /Property addr of device edu takes an address from 0x0 to 0x1f\.7, not "40"\./],
    ['edu,__proto__=1', /has no property "__proto__"/],
  ] as const) {
    assert.throws(
      () => checkMachineOptions({ devices: [parseDevice(text)] }),
      (e) => e instanceof AnilloError && e.code === 'BAD_OPTION' && says.test(e.message),
      text,
    );
  }
});

test('help lists every device, and every property of one', () => {
  for (const { name, properties } of DEVICES) {
    assert.ok(deviceList().includes(`name "${name}"`));
    const help = deviceHelp(['pc-testdev', `${name},help`]) ?? '';
    for (const [key, property] of Object.entries(properties)) assert.ok(help.includes(`${key}=<`) && help.includes(property.summary));
  }
  assert.throws(() => deviceHelp(['flopy,help']), /There is no device "flopy"/);
});
