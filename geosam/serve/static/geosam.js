// The front end is built by integrations/front.
export function mount(element) { element.textContent = "geosam"; }
export default { render({ el }) { mount(el); } };
