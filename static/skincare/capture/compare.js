/* Two photographs of one lesion, side by side and aligned: the later is moved until the lesions lie in the same place.
   Only its place is found by itself. Its size is left alone, since growth is what one looks for. */

const SIDE = 96;

/** Where the lesion is, as fractions of width and height: the centre of what is darker than the skin around it.
    `rgba` are the pixels of a square of SIDE. Null where nothing stands out. */
export function centreOf(rgba) {
  const count = SIDE * SIDE;
  const grey = new Uint8Array(count);
  const bins = new Uint32Array(256);
  for (let i = 0; i < count; i += 1) {
    grey[i] = (299 * rgba[4 * i] + 587 * rgba[4 * i + 1] + 114 * rgba[4 * i + 2]) / 1000;
    if (!corner(i)) bins[grey[i]] += 1;
  }
  const limit = otsu(bins);
  let [mass, x, y] = [0, 0, 0];
  for (let i = 0; i < count; i += 1) {
    if (grey[i] >= limit || corner(i)) continue;
    const weight = limit - grey[i];
    mass += weight;
    x += weight * (i % SIDE + 0.5);
    y += weight * (Math.floor(i / SIDE) + 0.5);
  }
  return mass < count * 0.05 ? null : { x: x / mass / SIDE, y: y / mass / SIDE };
}

/** Outside the circle that a dermatoscope shows: dark there is the instrument. */
function corner(i) {
  const [x, y] = [i % SIDE - SIDE / 2 + 0.5, Math.floor(i / SIDE) - SIDE / 2 + 0.5];
  return x * x + y * y > (SIDE / 2) ** 2;
}

/** The grey that parts dark from light best (N. Otsu, 1979). */
function otsu(bins) {
  let [total, sum] = [0, 0];
  bins.forEach((number, grey) => { total += number; sum += number * grey; });
  let [below, sumBelow, best, limit] = [0, 0, -1, 0];
  for (let grey = 0; grey < 255; grey += 1) {
    below += bins[grey];
    sumBelow += bins[grey] * grey;
    if (!below || below === total) continue;
    const between = below * (total - below) * (sumBelow / below - (sum - sumBelow) / (total - below)) ** 2;
    if (between > best) [best, limit] = [between, grey + 1];
  }
  return limit;
}

/** The lesion's centre in an image that has loaded, as fractions of the square frame that the image covers. */
export function centreIn(image) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, SIDE, SIDE);
  const centre = centreOf(context.getImageData(0, 0, SIDE, SIDE).data);
  if (!centre) return null;
  const { naturalWidth: width, naturalHeight: height } = image;
  const [wide, high] = [Math.max(1, width / height), Math.max(1, height / width)]; // what covers the frame hangs over it
  return { x: 0.5 + (centre.x - 0.5) * wide, y: 0.5 + (centre.y - 0.5) * high };
}

/** How the later is to be moved, in fractions of the frame; null where one of them has no centre. */
export function shift(earlier, later) {
  const [one, other] = [centreIn(earlier), centreIn(later)];
  return one && other ? { x: one.x - other.x, y: one.y - other.y } : null;
}
