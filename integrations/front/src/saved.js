// What can be done with objects that are saved: each is one verb, and each can be undone.

export class Saved {
  constructor(app) {
    this.app = app;
  }

  describe(id) {
    const object = this.app.state.objects.get(id);
    const sure = object.score === null || object.score === undefined ? "" : `, score ${Number(object.score).toFixed(2)}`;
    this.app.say(`Object ${id}: ${this.app.state.nameOf(object.class)}${sure}.`);
  }

  /** The objects a command is for; says so if there are none. */
  meant(least = 1) {
    const ids = this.app.state.meant();
    if (ids.length >= least) return ids;
    this.app.say(least > 1 ? "Select two or more objects first (V, then Shift-click)." : "Point at a saved object, or select one (V).");
    return null;
  }

  async remove() {
    if (this.app.hand.suggested) return this.app.escape();
    const ids = this.meant();
    if (ids) await this.app.edit({ verb: "delete", ids });
  }

  async merge() {
    const ids = this.meant(2);
    if (ids) await this.app.edit({ verb: "merge", ids });
  }

  /** A class for what is in hand, for the selection, or for what comes next. */
  async classify(code) {
    this.app.state.current = code;
    if (this.app.hand.classCode !== undefined) this.app.hand.classCode = code;
    this.app.state.emit("classes");
    this.app.state.emit("hand");
    if (this.app.hand.isEmpty && this.app.state.selection.size) {
      await this.app.edit({ verb: "classify", ids: [...this.app.state.selection], class: code });
    } else this.app.say(code === null ? "Next: without a class." : `Next: ${this.app.state.nameOf(code)}.`);
  }

  async split(line) {
    const chosen = [...this.app.state.selection];
    const middle = line.slice(0, -1).map((place, i) => [(place[0] + line[i + 1][0]) / 2, (place[1] + line[i + 1][1]) / 2]);
    const id = chosen.length === 1 ? chosen[0] : middle.map((place) => this.app.state.objectAt(place)).find((found) => found !== null);
    if (id === undefined) return this.app.say("The line crosses no saved object.", "error");
    const answer = await this.app.edit({ verb: "split", id, line });
    if (answer.ok) this.app.useTool("click");
  }

  startVertices() {
    if (this.app.state.tool === "vertices") return this.app.useTool("click");
    const ids = this.meant();
    if (!ids) return;
    this.app.state.select(ids);
    this.app.useTool("vertices");
    this.app.say("Drag vertices and edges; a right click (or X) removes a vertex. Neighbours follow.");
  }

  /** Takes a saved object in hand again, with the prompts that made it. */
  async reopen() {
    const ids = this.meant();
    if (!ids) return;
    const { answer } = await this.app.ask({ verb: "reopen", id: ids[0] });
    if (!answer.ok) return;
    this.app.useTool("click");
    const object = this.app.state.objects.get(ids[0]);
    this.app.state.select([]);
    const shown = { shape: answer.shape, key: null, exact: false, score: object?.score };
    this.app.hand.take({ object: ids[0], prompts: answer.prompts, answer: shown, classCode: object?.class ?? null });
    if (answer.prompts) this.app.askHand();
    this.app.say("Open again: correct it by clicks, Enter saves, Esc leaves it as it was.");
  }

  async undo() {
    await this.app.edit({ verb: "undo" });
  }

  async redo() {
    await this.app.edit({ verb: "redo" });
  }

  async setClasses(classes) {
    const answer = await this.app.edit({ verb: "classes", classes });
    return answer.ok;
  }

  /** Hands an export to the browser, which saves it as a download. */
  async export(format, schema) {
    const { answer, buffer } = await this.app.ask({ verb: "export", format, schema }, "exporting");
    if (!answer.ok || !buffer) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([buffer]));
    link.download = answer.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    this.app.say(`Exported ${answer.name}.`, "done");
  }
}
