/** Quotes a word for a POSIX shell: nothing in it means anything. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** One line for a Linux device. The key goes through standard input, since everybody may read the process list. */
export function agentCommand(key: string): string {
  return `printf '%s\\n' ${quoted(key)} | sudo aerie-agent run --state /var/lib/aerie-agent --key-file -`;
}
