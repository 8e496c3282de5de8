/* A photograph on the phone: opened, reduced to what network and dermatologist need, and judged at once. */

/** Longer side, in pixels, above which a photograph is reduced; and bytes above which it is written again. */
const LONG_SIDE = 2560;
const MOST_BYTES = 3_000_000;
const SIDE = 224;
const SMALLEST_SIDE = 224;

/** It cannot be opened, or is too small: the server would refuse it. */
export class Unusable extends Error {
  constructor(code) { super(code); this.code = code; }
}

/** Open a file or a frame: bytes to send, measures, problems (which stop the network) and warnings. */
export async function prepare(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    throw new Unusable("not_an_image");
  }
  const { width, height } = bitmap;
  if (Math.min(width, height) < SMALLEST_SIDE) throw new Unusable("too_small");
  const quality = judge(view(bitmap), width, height);
  const small = Math.max(width, height) <= LONG_SIDE && blob.size <= MOST_BYTES && ["image/jpeg", "image/png"].includes(blob.type);
  const sent = small ? blob : await reduce(bitmap, width, height);
  bitmap.close();
  return { bytes: await sent.arrayBuffer(), ...quality };
}

function surface(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  return { canvas, context };
}

function reduce(bitmap, width, height) {
  const scale = Math.min(1, LONG_SIDE / Math.max(width, height));
  const { canvas, context } = surface(Math.round(width * scale), Math.round(height * scale));
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
}

/** The whole frame squashed to 224x224, halved step by step so that no pixel is left out. */
function view(bitmap) {
  let source = bitmap;
  let { width, height } = bitmap;
  while (width > 2 * SIDE || height > 2 * SIDE) {
    const [w, h] = [Math.max(SIDE, Math.round(width / 2)), Math.max(SIDE, Math.round(height / 2))];
    const { canvas, context } = surface(w, h);
    context.drawImage(source, 0, 0, w, h);
    [source, width, height] = [canvas, w, h];
  }
  const { context } = surface(SIDE, SIDE);
  context.drawImage(source, 0, 0, SIDE, SIDE);
  return context.getImageData(0, 0, SIDE, SIDE).data;
}

/** The measures and limits of diagnosis/classifier/quality.py, so that phone and server agree. */
export function judge(rgba, width, height) {
  const count = SIDE * SIDE;
  const grey = new Float32Array(count);
  let [clipped, glare, colour] = [0, 0, 0];
  for (let i = 0; i < count; i += 1) {
    const [r, g, b] = [rgba[4 * i], rgba[4 * i + 1], rgba[4 * i + 2]];
    const [most, least] = [Math.max(r, g, b), Math.min(r, g, b)];
    grey[i] = 0.299 * r + 0.587 * g + 0.114 * b;
    clipped += most >= 254;
    glare += least >= 250;
    colour += most - least;
  }
  const sorted = Float32Array.from(grey).sort();
  const at = (part) => sorted[Math.round(part * (count - 1))];
  const [dark, bright] = [at(0.05), at(0.95)];
  const sharpness = Math.min(detail(grey, 1), detail(grey, SIDE)) / Math.max(bright, 1);
  const [exposure, contrast] = [bright / 255, (bright - dark) / 255];
  [clipped, glare, colour] = [clipped / count, glare / count, colour / count / 255];
  const [long, short] = [Math.max(width, height), Math.min(width, height)];
  const found = (rules) => Object.keys(rules).filter((code) => rules[code]);
  return {
    problems: found({
      blurred: sharpness < 0.0093, too_dark: exposure < 0.28, too_bright: clipped > 0.5, glare: glare > 0.15,
      low_contrast: contrast < 0.055, no_colour: colour < 0.014, elongated: long > 2.3 * short,
    }),
    warnings: found({
      slightly_blurred: sharpness >= 0.0093 && sharpness < 0.0125, dark: exposure >= 0.28 && exposure < 0.42,
      bright: clipped > 0.25 && clipped <= 0.5, slightly_low_contrast: contrast >= 0.055 && contrast < 0.09,
      small: long < 600 || short < 450,
    }),
  };
}

/** Standard deviation of the second difference along one direction. */
function detail(grey, step) {
  let [sum, squares, count] = [0, 0, 0];
  for (let y = 1; y < SIDE - 1; y += 1) {
    for (let x = 1; x < SIDE - 1; x += 1) {
      const i = y * SIDE + x;
      const value = grey[i + step] + grey[i - step] - 2 * grey[i];
      sum += value;
      squares += value * value;
      count += 1;
    }
  }
  return Math.sqrt(Math.max(0, squares / count - (sum / count) ** 2));
}
