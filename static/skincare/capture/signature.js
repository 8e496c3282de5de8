/* A signature drawn with a finger, kept as the lines of an SVG: small, and as sharp as it was drawn. */
export class Signature {
  constructor(canvas, onChange) {
    this.canvas = canvas;
    this.lines = [];
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [Math.round((event.clientX - box.left) * canvas.width / box.width), Math.round((event.clientY - box.top) * canvas.height / box.height)];
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.line = [at(event)];
      this.lines.push(this.line);
      event.preventDefault();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.line) return;
      this.line.push(at(event));
      draw(canvas, [this.line.slice(-2)], this.ink());
    });
    const end = () => {
      if (!this.line) return;
      this.line = null;
      onChange();
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    // What was drawn in light is seen in the dark too.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    new MutationObserver(() => this.redraw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  ink() { return getComputedStyle(this.canvas).color; }

  redraw() {
    this.canvas.getContext("2d").clearRect(0, 0, this.canvas.width, this.canvas.height);
    draw(this.canvas, this.lines, this.ink());
  }

  clear() {
    this.lines = [];
    this.redraw();
  }

  /** The lines again, from what `svg` gave. */
  restore(svg) {
    this.lines = linesOf(svg);
    this.redraw();
  }

  /** Empty where nothing, or hardly a dot, was drawn. */
  svg() {
    const points = this.lines.reduce((sum, line) => sum + line.length, 0);
    if (points < 5) return "";
    const path = this.lines.map((line) => `M${line.map((point) => point.join(" ")).join("L")}`).join("");
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${this.canvas.width} ${this.canvas.height}"><path fill="none" stroke="#000" stroke-width="4" d="${path}"/></svg>`;
  }
}

const linesOf = (svg) => [...svg.matchAll(/M([^"M]+)/g)].map((match) => match[1].split("L").map((point) => point.split(" ").map(Number)));

function draw(canvas, lines, ink) {
  const context = canvas.getContext("2d");
  [context.lineWidth, context.lineCap, context.strokeStyle] = [4, "round", ink];
  for (const line of lines) {
    context.beginPath();
    line.forEach((point, index) => (index ? context.lineTo(...point) : context.moveTo(...point)));
    context.stroke();
  }
}

/** What `svg` gave as the PNG that the API takes: black on nothing, as a data URL. */
export function pngOf(svg) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = svg.match(/viewBox="0 0 (\d+) (\d+)"/).slice(1).map(Number);
  draw(canvas, linesOf(svg), "black");
  return canvas.toDataURL("image/png");
}
