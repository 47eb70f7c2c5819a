// The object in hand: its prompts, each step of which can be taken back, and what the server answered to them.

const empty = () => ({ points: [], box: null, outline: null });

export class Hand {
  constructor(state) {
    this.state = state;
    this.clear();
  }

  clear() {
    this.prompts = empty();
    this.past = [];
    this.object = null; // id of the saved object that is being corrected
    this.answer = null; // {key, shape, score, exact} to these prompts
    this.suggested = null; // key of a suggestion that came without prompts
    this.classCode = undefined; // undefined: the class that is chosen in the panel
    this.state.emit("hand");
  }

  get isEmpty() {
    return !hasPrompts(this.prompts) && this.object === null && this.suggested === null;
  }

  /** The class that accepting gives. */
  get code() {
    return this.classCode === undefined ? this.state.current : this.classCode;
  }

  /** A change of the prompts that can be taken back. */
  change(prompts) {
    this.past.push({ prompts: this.prompts, answer: this.answer, suggested: this.suggested });
    this.prompts = { ...this.prompts, ...prompts };
    this.answer = null;
    this.suggested = null;
    this.state.emit("hand");
  }

  addPoint(at, positive) {
    this.change({ points: [...this.prompts.points, [at[0], at[1], positive ? 1 : 0]] });
  }

  /** Takes the last prompt back; false if there is none. */
  undo() {
    const before = this.past.pop();
    if (!before) return false;
    Object.assign(this, before);
    this.state.emit("hand");
    return true;
  }

  /** A shape that came from the server with a key: a suggestion, or a saved object that is opened again. */
  take({ object = null, prompts = null, answer = null, suggested = null, classCode }) {
    this.clear();
    this.object = object;
    this.prompts = { ...empty(), ...prompts };
    this.answer = answer;
    this.suggested = suggested;
    this.classCode = classCode;
    this.state.emit("hand");
  }

  answered(answer) {
    this.answer = answer;
    this.state.emit("hand");
  }

  /** What `preview` is asked for these prompts, or for these and one more point. */
  request(extra = null) {
    const { points, box, outline } = this.prompts;
    return { verb: "preview", points: extra ? [...points, extra] : points, box, outline, object: this.object };
  }
}

export const hasPrompts = ({ points, box, outline }) => points.length > 0 || box !== null || outline !== null;
