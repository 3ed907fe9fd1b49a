// Elements: how anything gets onto the page.
//
// Invariants: text is only ever set as text, so no entry becomes markup; no attribute but class, id and the few named
// here is set, and none from a dossier.
const dom = (() => {
  "use strict";

  const ATTRIBUTES = ["id", "for", "type", "rows", "name", "scope", "lang", "accept", "spellcheck", "autocomplete", "role",
    "aria-label", "aria-pressed", "aria-describedby", "data-name", "colspan"];

  /** Returns an element of a tag and classes (`td.date`) with attributes and children: elements, texts, or nothing. */
  function element(kind, attributes = {}, ...children) {
    const [tag, ...classes] = kind.split(".");
    const made = document.createElement(tag);
    if (classes.length > 0) made.className = classes.join(" ");
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "click") made.addEventListener("click", value);
      else if (ATTRIBUTES.includes(name)) made.setAttribute(name, value);
      else if (name === "multiple") made.multiple = value;
      else throw new Error(`no attribute ${name} is set here`);
    }
    made.append(...flat(children));
    return made;
  }

  const flat = (children) => children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== "");

  /** Fills a part of the page anew. */
  function fill(id, ...children) {
    document.getElementById(id).replaceChildren(...flat(children));
  }

  /** Returns a table; each column is `[name, class]`, each row a list of cells. */
  function table(columns, rows, caption = null, kind = "table") {
    const head = columns.map(([name, look = ""]) => element(look === "number" ? "th.number" : "th", { scope: "col" }, name));
    const cell = (content, at) => {
      const [name, look = ""] = columns[at];
      return element(look ? `td.${look}` : "td", at === 0 && look !== "number" ? {} : { "data-name": name }, content);
    };
    return element(kind, {},
      caption === null ? null : element("caption", {}, caption),
      element("thead", {}, element("tr", {}, head)),
      element("tbody", {}, rows.map((row) => element("tr", {}, row.map(cell)))));
  }

  /** Returns a list of terms and what they are; terms without a value are left out. */
  function terms(pairs) {
    const given = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "" && value.length !== 0);
    return element("dl", {}, given.map(([term, value]) => [element("dt", {}, term), element("dd", {}, value)]));
  }

  /** Has the browser save a file. */
  function save(name, content, type) {
    const address = URL.createObjectURL(new Blob([content], { type }));
    const link = document.createElement("a");
    link.href = address;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }

  return { element, fill, table, terms, save };
})();
