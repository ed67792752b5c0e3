import type { Component } from 'svelte';
import { words } from '../../words/setup';
import Account from './Account.svelte';
import Appliance from './Appliance.svelte';
import Code from './Code.svelte';
import type { Draft } from './draft.svelte';
import { accountProblems, applianceProblems, codeProblems, type Problems, type Typed } from './rules';

export interface StepProps {
  draft: Draft;
  problems: Problems;
}

export interface Step {
  /** In the address: `?step=account`. */
  id: string;
  title: string;
  lead: string;
  Body: Component<StepProps>;
  check: (typed: Typed) => Problems;
}

/** In this order. The set-up is sent after the last one. */
export const steps: readonly Step[] = [
  { id: 'code', title: words.codeTitle, lead: words.codeLead, Body: Code, check: codeProblems },
  { id: 'account', title: words.accountTitle, lead: words.accountLead, Body: Account, check: accountProblems },
  { id: 'appliance', title: words.applianceTitle, lead: words.applianceLead, Body: Appliance, check: applianceProblems },
];
