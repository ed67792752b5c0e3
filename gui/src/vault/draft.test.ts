import { describe, expect, it } from 'vitest';
import { bodyOf, problemsOf, typedOf, type Typed } from './draft';

const good: Typed = { ...typedOf(null, 'd1'), username: ' admin ', password: ' with blanks ', sshPort: '22' };

describe('what is typed for a credential', () => {
  it('becomes what the appliance stores; a password is not trimmed', () => {
    expect(problemsOf(good, true)).toEqual({});
    expect(bodyOf(good)).toEqual({ deviceId: 'd1', username: 'admin', password: ' with blanks ', readOnly: false, sshPort: 22, httpsPort: null, note: '' });
  });

  it('leaves the present password where none is typed', () => {
    const kept = { ...good, password: '' };
    expect(problemsOf(kept, true).password).toBeDefined();
    expect(problemsOf(kept, false)).toEqual({});
    expect(bodyOf(kept)).not.toHaveProperty('password');
  });

  it('takes a port away that was emptied', () => {
    expect(bodyOf({ ...good, sshPort: ' ' })).toMatchObject({ sshPort: null, httpsPort: null });
  });

  it('is for a device or has a label', () => {
    expect(problemsOf({ ...good, deviceId: '' }, true)).toHaveProperty('deviceId');
    expect(problemsOf({ ...good, kind: 'other' }, true)).toHaveProperty('label');
    expect(bodyOf({ ...good, kind: 'other', label: ' Portal' })).toMatchObject({ label: 'Portal' });
    expect(bodyOf({ ...good, kind: 'other', label: 'Portal' })).not.toHaveProperty('deviceId');
  });

  it('has no line breaks, sane ports and a password of bounded bytes', () => {
    expect(problemsOf({ ...good, username: 'ad\nmin' }, true)).toHaveProperty('username');
    expect(problemsOf({ ...good, password: 'a\u0007b' }, true)).toHaveProperty('password');
    expect(problemsOf({ ...good, httpsPort: '65536' }, true)).toHaveProperty('httpsPort');
    expect(problemsOf({ ...good, password: 'é'.repeat(2_048) }, true)).toEqual({});
    expect(problemsOf({ ...good, password: 'é'.repeat(2_049) }, true)).toHaveProperty('password');
  });
});
