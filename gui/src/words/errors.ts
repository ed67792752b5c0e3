export const words = {
  unreachable: 'The appliance did not answer. Check your connection to it, then try again.',
  aborted: 'The request was stopped.',
  unexpected: (cause: string) =>
    `Something went wrong in this page${cause === '' ? '' : ` (${cause})`}. Reload it; if it happens again, report it.`,
  answerUnknown: (status: number) =>
    `The answer was not the appliance's own (status ${status}). Something between you and the appliance may be in the way.`,
  passkeyBrowser: 'This browser cannot use passkeys at this address. It needs a current browser and a trusted certificate.',
  passkeyNone: 'The browser gave no passkey: it was cancelled, it took too long, or there is none for this address.',
  passkeyTwice: 'Your account has a passkey on this device already. Use that one, or another device.',
  passkeyAddress: 'The browser refuses passkeys at this address. Open the appliance by its name, with a trusted certificate.',
  readOnly: 'Your account is Read-Only: it sees everything and changes nothing.',
};
