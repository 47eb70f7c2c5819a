// What can be done with the object in hand, below the thumb: buttons over the map.

import { el } from "./dom.js";
import { button } from "./panel.js";

export class HandBar {
  constructor(ui) {
    const { app } = ui;
    this.app = app;
    this.sign = el("button", { type: "button", class: "gs-sign", onclick: () => ui.toggle("takesAway") });
    this.element = el(
      "div",
      { class: "gs-handbar gs-over", role: "group", "aria-label": "Object in hand", hidden: true },
      this.sign,
      button("Back", "Z", "Take the last click back (Z)", () => app.undoPrompt()),
      button("Leave", "Esc", "Leave the object in hand (Esc)", () => app.escape()),
      button("Save", "Enter", "Save the object in hand (Enter)", () => app.accept()),
    );
    this.element.lastChild.classList.add("gs-main");
    app.state.on("hand", () => this.show());
    this.show();
  }

  show() {
    this.element.hidden = this.app.hand.isEmpty;
    const takes = this.app.takesAway;
    this.sign.textContent = takes ? "− takes away" : "+ adds";
    this.sign.title = "What a tap does: it adds, or takes away";
    this.sign.setAttribute("aria-label", `What a tap does: it ${takes ? "takes away" : "adds"}`);
    this.sign.setAttribute("aria-pressed", String(takes));
  }
}
