export interface Question {
  title: string;
  /** What will happen, and whether it can be undone. */
  body: string;
  /** The button's verb: "Delete 3 devices", never "OK". */
  verb: string;
  danger?: boolean;
  /** Must be typed first; only for what cannot be undone. */
  typed?: string;
}

interface Asked extends Question {
  answer: (yes: boolean) => void;
}

class Asking {
  now = $state.raw<Asked | null>(null);

  /** Asks; the frame shows the dialog. A second question while one is open answers the first with no. */
  ask(question: Question): Promise<boolean> {
    this.now?.answer(false);
    return new Promise((resolve) => {
      this.now = {
        ...question,
        answer: (yes) => {
          this.now = null;
          resolve(yes);
        },
      };
    });
  }
}

export const asking = new Asking();

/** `if (await confirm({ … })) …` */
export const confirm = (question: Question): Promise<boolean> => asking.ask(question);
