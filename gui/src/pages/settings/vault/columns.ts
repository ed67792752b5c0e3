import type { Credential } from '../../../api/vault';
import type { Column } from '../../../components/table/columns';
import { searcher } from '../../../components/table/rows';
import { moment } from '../../../format';
import { nameOf, stateOf, STATE_ORDER } from '../../../vault/credential';
import { words } from '../../../words/credentials';

export const NAME: Column<Credential> = { id: 'name', label: words.name, key: nameOf, width: 170, grow: 3, always: true };

export const columns: readonly Column<Credential>[] = [
  { id: 'state', label: words.state, key: (one) => STATE_ORDER.indexOf(stateOf(one)), width: 178, grow: 0 },
  NAME,
  { id: 'account', label: words.account, key: (one) => one.username, width: 120, grow: 2 },
  { id: 'source', label: words.source, key: (one) => words.sources[one.source] ?? one.source, width: 104, grow: 0 },
  { id: 'changed', label: words.changed, key: (one) => moment(one.changedAt), width: 132, grow: 0, highFirst: true },
  { id: 'note', label: words.note, key: (one) => (one.note === '' ? null : one.note), width: 120, grow: 2 },
];

export const matches = searcher<Credential>((one) => [nameOf(one), one.username, one.note]);
