// Chains as the page holds them, and what the schema says of their options.

let count = 0;
export const key = () => `k${Date.now().toString(36)}${count += 1}`;

// A chain in JSON's types -> {preset, stages: [{key, name, options}], output}
export const chainOf = (json, preset = "") => ({
  preset,
  stages: (json.stages ?? []).map((item) => {
    const [name, options] = typeof item === "string" ? [item, {}] : Object.entries(item)[0];
    return { key: key(), name, options: { ...options } };
  }),
  output: { ...json.output },
  ...(json.license_policy ? { policy: json.license_policy } : {}),
});

// The chain as the server takes it: a preset by its name, else JSON, which is YAML.
export const textOf = (chain, faces = "all") => {
  if (chain.preset && faces === "all") return chain.preset;
  const json = { faces, stages: chain.stages.map(({ name, options }) => ({ [name]: options })) };
  if (Object.keys(chain.output).length) json.output = chain.output;
  if (chain.policy) json.license_policy = chain.policy;
  return JSON.stringify(json);
};

// What the chain draws on the screen, where the output makes no difference.
export const draftOf = (chain, faces) => textOf({ ...chain, preset: "", output: {} }, faces);

export const filesOf = (chain, files) => {
  const named = chain.stages.flatMap((stage) => Object.values(stage.options)).filter((value) => value in files);
  return Object.fromEntries(named.map((name) => [name, files[name].id]));
};

// The values of an option that the weights decide on; undefined if they do not.
const offered = (shape, options) => shape.choices?.[options.weights ?? ""];

// What a JSON schema lets an option be: {words, colour, number, file, keys, toggle, text, usual}
export const kindOf = (shape, options = {}) => {
  const parts = (shape.anyOf ?? [shape]).flatMap((part) => part.anyOf ?? [part]);
  const has = (format) => parts.some((part) => part.format === format);
  const words = offered(shape, options) ?? parts.flatMap((part) => part.enum ?? ("const" in part ? [part.const] : []));
  const number = parts.find((part) => part.type === "number" || part.type === "integer");
  return {
    words,
    usual: shape.default ?? null,
    file: has("path"),
    keys: has("weights") ? shape.keys ?? [] : null,
    colour: has("colour"),
    toggle: parts.some((part) => part.type === "boolean"),
    number: number && !offered(shape, options) ? { whole: number.type === "integer", ...number } : null,
    text: parts.some((part) => part.type === "string" && !part.format && !part.enum && !("const" in part)),
    longest: shape.maxLength ?? parts.find((part) => part.maxLength)?.maxLength,
  };
};

// Set an option: its alternatives are cleared, and so are values that other weights do not have.
export const withOption = (stage, known, option, value) => {
  const options = { ...stage.options };
  if (value === undefined || value === known.options[option]?.default) delete options[option];
  else options[option] = value;
  if (value !== undefined) {
    for (const group of known.alternatives.filter((each) => each.includes(option))) {
      for (const other of group) if (other !== option) delete options[other];
    }
  }
  for (const [other, shape] of Object.entries(known.options)) {
    if (shape.choices && !(offered(shape, options) ?? []).includes(options[other])) delete options[other];
  }
  return { ...stage, options };
};

// Links carry a chain behind the #, which is never sent to a server.
export const linkOf = (chain) => {
  const bytes = new TextEncoder().encode(textOf({ ...chain, preset: "" }));
  const text = btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  return `${location.origin}${location.pathname}#chain=${text}`;
};

export const linked = (hash) => {
  const text = hash.match(/^#chain=([\w-]+)$/)?.[1];
  if (!text) return null;
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0)));
  } catch { return null; }
};

export const usable = (photo) => (photo?.faces ?? []).filter((face) => face.number !== null);

// Say whether a photo's rule (all, largest, best or numbers) chooses a face, as the server does.
export const chosen = (photo, number) => {
  if (Array.isArray(photo.rule)) return photo.rule.includes(number);
  if (photo.rule === "all") return true;
  const side = ({ box: [left, top, right, bottom] }) => Math.max(right - left, bottom - top);
  const better = (a, b) => (photo.rule === "largest" && side(a) - side(b)) || a.score - b.score;
  return usable(photo).reduce((best, face) => (better(face, best) > 0 ? face : best)).number === number;
};
