import { describe, expect, it } from 'vitest';
import { agentCommand } from './command';

describe('the command for a Linux device', () => {
  it('hands the key over through standard input', () => {
    expect(agentCommand('wss://a.example:443+S+pin=x')).toBe(
      "printf '%s\\n' 'wss://a.example:443+S+pin=x' | sudo aerie-agent run --state /var/lib/aerie-agent --key-file -",
    );
  });

  it('lets nothing in the key mean anything to the shell', () => {
    expect(agentCommand("wss://a'; reboot #")).toContain("'wss://a'\\''; reboot #'");
  });
});
