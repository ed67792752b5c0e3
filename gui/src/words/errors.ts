export const words = {
  unreachable: 'The appliance did not answer. Check your connection to it, then try again.',
  aborted: 'The request was stopped.',
  unexpected: (cause: string) =>
    `Something went wrong in this page${cause === '' ? '' : ` (${cause})`}. Reload it; if it happens again, report it.`,
  answerUnknown: (status: number) =>
    `The answer was not the appliance's own (status ${status}). Something between you and the appliance may be in the way.`,
  readOnly: 'Your account is Read-Only: it sees everything and changes nothing.',
};
