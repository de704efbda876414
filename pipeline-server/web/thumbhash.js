// Draws a ThumbHash: a picture of some 25 bytes, blurred by nature, to show until the real one is there.
//
// A hash holds the lowest frequencies (a discrete cosine transform) of brightness and of two differences of colours,
// each as four bits, and of opacity if the picture has any. Bits are counted from the lowest of the first byte.

/** Enough for the seven waves along a side; the browser makes it larger, and smooth. */
const SIDE = 16;

/** Draws the hash, in base64, onto a canvas and makes it as large as the little picture. */
export function drawThumbHash(canvas, base64) {
  const picture = decode(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)));
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

/** The pixels of a hash. */
export function decode(hash) {
  const first = hash[0] | (hash[1] << 8) | (hash[2] << 16);
  const second = hash[3] | (hash[4] << 8);
  const hasAlpha = first >> 23 !== 0;
  const isWide = second >> 15 !== 0;
  const most = hasAlpha ? 5 : 7;
  const fewer = second & 7;
  const [across, down] = isWide ? [most, fewer] : [fewer, most];

  const nibbles = reader(hash, hasAlpha ? 6 : 5);
  const lightness = channel((first & 63) / 63, Math.max(3, across), Math.max(3, down), ((first >> 18) & 31) / 31, nibbles);
  // The colours were rounded coarsely, which made them dull; a quarter more makes up for it.
  const yellow = channel(((first >> 6) & 63) / 31.5 - 1, 3, 3, (((second >> 3) & 63) / 63) * 1.25, nibbles);
  const red = channel(((first >> 12) & 63) / 31.5 - 1, 3, 3, (((second >> 9) & 63) / 63) * 1.25, nibbles);
  const alpha = hasAlpha ? channel((hash[5] & 15) / 15, 5, 5, (hash[5] >> 4) / 15, nibbles) : null;

  const ratio = across / down;
  const width = Math.max(1, Math.round(ratio > 1 ? SIDE : SIDE * ratio));
  const height = Math.max(1, Math.round(ratio > 1 ? SIDE / ratio : SIDE));
  const columns = cosines(width);
  const rows = cosines(height);
  const picture = new ImageData(width, height);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      const l = value(lightness, columns[x], rows[y]);
      const p = value(yellow, columns[x], rows[y]);
      const q = value(red, columns[x], rows[y]);
      // l = (r + g + b) / 3, p = (r + g) / 2 - b, q = r - g
      const b = l - (2 / 3) * p;
      const r = (3 * l - b + q) / 2;
      const g = r - q;
      // The array clamps.
      picture.data[at] = 255 * r;
      picture.data[at + 1] = 255 * g;
      picture.data[at + 2] = 255 * b;
      picture.data[at + 3] = 255 * (alpha ? value(alpha, columns[x], rows[y]) : 1);
    }
  }
  return picture;
}

/** Hands out four bits after four bits. */
function reader(hash, start) {
  let at = start * 2;
  return () => {
    const byte = hash[at >> 1];
    const nibble = at & 1 ? byte >> 4 : byte & 15;
    at += 1;
    return nibble;
  };
}

/** The mean of a channel, and its frequencies: the triangle of the lower ones. */
function channel(mean, across, down, scale, nibbles) {
  const waves = [];
  for (let y = 0; y < down; y++) {
    for (let x = y ? 0 : 1; x * down < across * (down - y); x++) {
      waves.push([x, y, (nibbles() / 7.5 - 1) * scale]);
    }
  }
  return { mean, waves };
}

function value({ mean, waves }, column, row) {
  let sum = mean;
  for (const [x, y, factor] of waves) {
    sum += factor * column[x] * row[y] * 2;
  }
  return sum;
}

/** For each place along a side, the cosines of the seven frequencies there. */
function cosines(length) {
  return Array.from({ length }, (_, place) =>
    Array.from({ length: 7 }, (_, wave) => Math.cos((Math.PI / length) * (place + 0.5) * wave)),
  );
}
