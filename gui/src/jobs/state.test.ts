import { describe, expect, it } from 'vitest';
import type { Job } from '../api/vault';
import { finished, inTray, isActive, jobState, needsLook, waitsFor } from './state';

const counts = { total: 5, waiting: 1, running: 1, done: 2, failed: 1, cancelled: 0, offline: 0 };
const job = (state: string, more: Partial<Job> = {}): Job => ({
  id: state, kind: 'rotation', title: 'Rotate', state, waitsFor: '', stoppedBecause: '', createdAt: '2026-01-01T00:00:00Z', notBefore: null,
  endedAt: null, by: null, counts, parallel: 8, stopAfterFailures: 5, accounts: ['admin'], form: { length: 20, alphabet: 'readable' }, ...more,
});

describe('a job', () => {
  it('that ended with failures does not look as if all were well', () => {
    expect(jobState(job('done'))).toEqual({ tone: 'warn', word: 'Done, with failures' });
    expect(jobState(job('done', { counts: { ...counts, failed: 0 } })).tone).toBe('ok');
    expect(finished(job('running'))).toBe(3);
  });

  it('says what it waits for as long as it goes on', () => {
    expect(waitsFor(job('paused', { waitsFor: 'vault' }))).toMatch(/unseal/i);
    expect(waitsFor(job('running'))).toBeNull();
    expect(waitsFor(job('cancelled', { waitsFor: 'devices' }))).toBeNull();
  });

  it('needs a look when it stopped by itself or wants the vault', () => {
    expect([job('stopped'), job('paused', { waitsFor: 'vault' }), job('running', { waitsFor: 'devices' }), job('done')].map(needsLook)).toEqual([true, true, false, false]);
    expect(['waiting', 'running', 'paused', 'stopped', 'cancelled', 'done'].map((state) => isActive(job(state)))).toEqual([true, true, true, false, false, false]);
  });

  it('stays in the tray for a day after its end', () => {
    const now = Date.parse('2026-01-02T12:00:00Z');
    const jobs = [job('running'), job('done', { endedAt: '2026-01-02T11:00:00Z' }), job('cancelled', { endedAt: '2026-01-01T11:00:00Z' })];
    expect(inTray(jobs, now).map((one) => one.state)).toEqual(['running', 'done']);
  });
});
