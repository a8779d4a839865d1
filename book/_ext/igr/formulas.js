// Draws formulas: JSON on standard input, JSON on standard output. See formulas.py, which calls it.
// In: {page: [[tex, inItsOwnLine], …]}. Out: {page: {drawn: [svg, …], glyphs: svg, faults: […]}}.
// Arguments: the folder of MathJax's files, and the module that puts mathematics into words.
const [mathjax, speech] = process.argv.slice(2);
const sre = require(speech);

const escape = (text) => text.replace(/&/g, "&amp;").replace(/"/g, "&quot;").replace(/</g, "&lt;");

// What a reader of the page needs of MathJax's SVG: without it, the site is a third larger.
const slim = (svg) =>
  svg
    .replace(/ (?:xmlns(?::xlink)?|data-c|focusable|data-mjx-texclass)="[^"]*"/g, "")
    .replace(/ data-mml-node="(?!mtable)[^"]*"/g, "")
    .replace(/xlink:href/g, "href");

const draw = async (pages) => {
  const MathJax = await require(`${mathjax}/node-main.js`).init({
    loader: {
      load: ["input/tex-full", "output/svg", "adaptors/liteDOM"],
      paths: { mathjax },
      require,
      versionWarnings: false,
    },
    svg: { fontCache: "global" },
    tex: {
      formatError: (_, error) => { throw error; },
      packages: { "[-]": ["noundefined", "noerrors"] }, // they would print a wrong formula in red
    },
  });
  await sre.setupEngine({ locale: "en", domain: "clearspeak" });
  const { adaptor, document } = MathJax.startup;
  const said = new Map();
  const say = (tex, display) => {
    if (!said.has(tex)) {
      const mathml = MathJax.tex2mml(tex, { display }).replace(/&#x223C;/g, "is drawn from");
      said.set(tex, sre.toSpeech(mathml).replace(/\bdivides\b/g, "given"));
    }
    return said.get(tex);
  };
  const result = {};
  for (const [page, formulas] of Object.entries(pages)) {
    document.outputJax.fontCache.clearCache();
    const faults = [];
    const drawn = formulas.map(([tex, display]) => {
      try {
        const svg = adaptor.outerHTML(adaptor.firstChild(MathJax.tex2svg(tex, { display })));
        return slim(svg).replace('role="img"', `role="img" aria-label="${escape(say(tex, display))}"`);
      } catch (error) {
        faults.push(`${tex.trim()}: ${error.message}`);
        return "";
      }
    });
    const glyphs = slim(adaptor.outerHTML(document.outputJax.fontCache.getCache()));
    result[page] = { drawn, glyphs, faults };
  }
  return result;
};

let input = "";
process.stdin.on("data", (part) => (input += part));
process.stdin.on("end", () =>
  draw(JSON.parse(input)).then(
    (result) => process.stdout.write(JSON.stringify(result)),
    (error) => { console.error(error); process.exitCode = 1; },
  ),
);
