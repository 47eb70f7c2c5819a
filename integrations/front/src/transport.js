// Two ways to geosam, one verb at a time: fetch on a page, comm messages in a notebook.

const KERNEL_PATIENCE_MS = 60000;

/** The page's way. Addresses are relative to this very file, so that any path proxy may stand in between. */
export function pageTransport(moduleUrl, address = document.location.href) {
  const token = new URL(address).searchParams.get("token") ?? "";
  const api = new URL("../api", moduleUrl);
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };

  async function ask(request, { signal } = {}) {
    let response;
    try {
      response = await fetch(api, { method: "POST", headers, body: JSON.stringify(request), signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      return refused("geosam does not answer: was it stopped? What you accepted is saved; start it again and reload.");
    }
    try {
      const head = response.headers.get("X-Geosam-Answer");
      if (head) return { answer: JSON.parse(head), buffer: await response.arrayBuffer() };
      return { answer: await response.json() };
    } catch (error) {
      if (error.name === "AbortError") throw error;
      return refused(`geosam gave no answer that can be read (HTTP ${response.status}): reload the page.`);
    }
  }
  return { ask };
}

/** The notebook's way: custom messages of an anywidget model, answers found again by their id. */
export function commTransport(model) {
  const view = Math.random().toString(36).slice(2); // two views of one widget share its messages
  const waiting = new Map();
  let asked = 0;

  function hear(message, buffers) {
    const settle = waiting.get(message?.id);
    if (!settle) return;
    waiting.delete(message.id);
    settle({ answer: message, buffer: buffers?.[0] });
  }
  model.on("msg:custom", hear);

  function ask(request) {
    const id = `${view}-${++asked}`;
    return new Promise((resolve) => {
      const late = setTimeout(() => {
        waiting.delete(id);
        resolve(refused("The kernel does not answer: is it running another cell, or was it stopped?"));
      }, KERNEL_PATIENCE_MS);
      waiting.set(id, (result) => {
        clearTimeout(late);
        resolve(result);
      });
      model.send({ ...request, id });
    });
  }
  return { ask, close: () => model.off?.("msg:custom", hear) };
}

const refused = (error) => ({ answer: { ok: false, kind: "gone", error } });
