// Keys after Ctrl-A on the terminal.

export const CONSOLE_HELP = `
Ctrl-A H   this help
Ctrl-A X   quit (the machine's power is cut)
Ctrl-A P   press the power button
Ctrl-A R   press the reset button
Ctrl-A S   write what the display shows (--screenshot)
Ctrl-A C   go on after the host has failed at something
Ctrl-A A   send Ctrl-A to the guest
`;

export interface ConsoleActions {
  quit(): void;
  powerButton(): void;
  reset(): void;
  /** Goes on where the machine waits for the host to be mended. */
  goOn(): void;
  screenshot(): void;
  say(text: string): void;
}

export function handleConsoleKey(key: string, actions: ConsoleActions): void {
  if (key === 'x') actions.quit();
  else if (key === 'p') actions.powerButton();
  else if (key === 'r') actions.reset();
  else if (key === 'c') actions.goOn();
  else if (key === 's') actions.screenshot();
  else if (key === 'h' || key === '?') actions.say(CONSOLE_HELP.replaceAll('\n', '\r\n'));
}
