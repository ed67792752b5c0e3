// One thing that somebody asks the appliance to do from a form: whether it is under way, and why it was refused.
import { StepUpDeclined } from '../../api/step-up.svelte';

export class Saving {
  busy = $state(false);
  error = $state.raw<unknown>(null);

  /** One at a time. Answers whether it was done; who does not give the password again needs no word about it. */
  run = async (act: () => Promise<void>): Promise<boolean> => {
    if (this.busy) return false;
    this.busy = true;
    this.error = null;
    try {
      await act();
      return true;
    } catch (thrown) {
      if (!(thrown instanceof StepUpDeclined)) this.error = thrown;
      return false;
    } finally {
      this.busy = false;
    }
  };
}
