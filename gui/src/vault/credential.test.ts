import { describe, expect, it } from 'vitest';
import type { Credential } from '../api/vault';
import { nameOf, shownState, stateOf } from './credential';

const credential = (more: Partial<Credential>): Credential => ({
  id: '1', deviceId: null, deviceName: null, label: 'Portal', username: 'admin', source: 'typed', readOnly: false, sshPort: null, httpsPort: null,
  note: '', createdAt: '', version: 1, changedAt: null, provenAt: null, candidates: 0, trouble: '', ...more,
});

describe('a credential', () => {
  it('is named after its device, else after its label', () => {
    expect(nameOf(credential({ deviceName: 'Mast 7' }))).toBe('Mast 7');
    expect(nameOf(credential({}))).toBe('Portal');
  });

  it('says the worst that is known of it', () => {
    expect(stateOf(credential({}))).toBe('stored');
    expect(stateOf(credential({ provenAt: '2026-01-01T00:00:00Z' }))).toBe('proven');
    expect(stateOf(credential({ provenAt: '2026-01-01T00:00:00Z', candidates: 1 }))).toBe('unproven');
    expect(stateOf(credential({ candidates: 1, trouble: 'changed-on-device' }))).toBe('changed-on-device');
    expect(shownState(credential({ trouble: 'older-password' }))).toMatchObject({ tone: 'warn', word: 'Older password' });
  });
});
