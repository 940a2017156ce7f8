// Colours of labels: ten chosen by hand, further ones a golden angle of hue apart.

const CHOSEN = ["#4878cf", "#e58b2a", "#3f9e4d", "#d1495b", "#8d6cc4", "#8c613c", "#d16ba5", "#7a8794", "#b3a125", "#2ba6b5"];
export const UNLABELLED = [136, 136, 136];

/** Red, green and blue, 0 to 255, of the label with this rank. */
export function colour(rank) {
  if (rank < CHOSEN.length) return [1, 3, 5].map((at) => parseInt(CHOSEN[rank].slice(at, at + 2), 16));
  const hue = (rank * 0.381966) % 1;
  const lightness = [0.42, 0.55, 0.66][rank % 3];
  const spread = 0.55 * Math.min(lightness, 1 - lightness);
  return [0, 8, 4].map((part) => {
    const place = (part + 12 * hue) % 12;
    return Math.round(255 * (lightness - spread * Math.max(-1, Math.min(place - 3, 9 - place, 1))));
  });
}

export const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;
