export const words = {
  title: 'Log in',
  lead: 'To your network’s appliance',
  username: 'User name or e-mail',
  password: 'Password',
  stay: 'Stay logged in on this device',
  stayHint: 'Up to 30 days. Leave it off on a shared computer.',
  submit: 'Log in',
  wait: (seconds: number) => `Wait ${seconds} s`,
  ended: 'Your login has ended. Log in again to go on where you were.',
  fillUsername: 'Type your user name or e-mail address.',
  fillPassword: 'Type your password.',
};
