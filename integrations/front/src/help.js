// The list of keys, in a dialog.

import { el } from "./dom.js";

export class Help {
  constructor(root) {
    this.root = root;
    this.dialog = null;
  }

  fill(table) {
    const groups = [...new Set(table.map((row) => row.group))];
    const part = (group) =>
      el(
        "section",
        {},
        el("h3", {}, group),
        el(
          "dl",
          {},
          table
            .filter((row) => row.group === group)
            .map((row) => [
              el("dt", {}, row.shown.flatMap((key, i) => [i ? " or " : "", el("kbd", {}, key)])),
              el("dd", {}, row.text),
            ])
            .flat(),
        ),
      );
    const close = el("button", { type: "button", class: "gs-close", "aria-label": "Close", onclick: () => this.toggle() }, "×");
    this.dialog = el("dialog", { class: "gs-help", "aria-label": "Keys" }, el("h2", {}, "Keys"), close, el("div", { class: "gs-columns" }, groups.map(part)));
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("close", () => this.root.focus({ preventScroll: true }));
    this.dialog.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "?") this.dialog.close();
    });
    this.root.append(this.dialog);
  }

  get isOpen() {
    return Boolean(this.dialog?.open);
  }

  toggle() {
    if (this.dialog.open) this.dialog.close();
    else this.dialog.showModal();
  }
}
