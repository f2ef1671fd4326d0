// Puts a model-viewer in the place of each face's still picture, when it comes near the window.
// Where there is no WebGL, the picture stays.
const VIEW = {
  "camera-controls": "", // drag, arrow keys, wheel, page up and down
  "camera-orbit": "-15deg 88deg 105%",
  "disable-pan": "",
  "field-of-view": "20deg",
  "interaction-prompt": "none",
  "max-camera-orbit": "Infinity 150deg 200%",
  "min-camera-orbit": "-Infinity 30deg 40%",
  "touch-action": "pan-y",
};
const LAST = 1e-3; // seconds before its end, where an animation would start anew

function viewerOf(alt, glb) {
  const viewer = document.createElement("model-viewer");
  for (const [name, value] of Object.entries({ ...VIEW, alt, src: glb })) {
    viewer.setAttribute(name, value);
  }
  return viewer;
}

function turn(holder) {
  const picture = holder.querySelector("img");
  const { glb, textures, labels, slider } = JSON.parse(holder.querySelector("script").textContent);
  const viewer = viewerOf(picture.alt, glb);
  viewer.addEventListener("load", async () => {
    picture.hidden = true;
    if (labels.length) holder.append(await sliderOf(viewer, labels, slider, textures));
    holder.classList.add("drawn");
  }, { once: true });
  viewer.addEventListener("error", () => {
    viewer.remove();
    picture.hidden = false;
  });
  holder.prepend(viewer);
}

// A slider from one step to the next: shapes are blended by the file's animation, textures here.
async function sliderOf(viewer, labels, title, textures) {
  const label = document.createElement("label");
  const range = document.createElement("input");
  const said = document.createElement("output");
  const last = labels.length - 1;
  Object.assign(range, { type: "range", min: 0, max: last, step: 0.01 });
  range.value = labels.length >> 1;
  label.append(title, " ", range, said);
  const paint = textures.length ? await painter(viewer, textures) : () => {};
  const move = () => {
    const step = Number(range.value);
    viewer.currentTime = Math.min(step, last - LAST);
    paint(step);
    said.textContent = labels[Math.round(step)];
    range.setAttribute("aria-valuetext", said.textContent);
  };
  viewer.play();
  viewer.pause();
  range.addEventListener("input", move);
  move();
  return label;
}

// A canvas of side x side pixels as the viewer's texture, which it sees after an update.
function canvasOf(viewer, side) {
  const texture = viewer.createCanvasTexture();
  Object.assign(texture.source.element, { width: side, height: side });
  viewer.model.materials[0].pbrMetallicRoughness.baseColorTexture.setTexture(texture);
  const context = texture.source.element.getContext("2d");
  context.setTransform(1, 0, 0, -1, 0, side); // such textures begin with their lowest row
  return { context, update: () => texture.source.update() };
}

// A function that paints the texture between two steps.
async function painter(viewer, textures) {
  const images = await Promise.all(textures.map(async (address) => {
    const image = new Image();
    image.src = address;
    await image.decode();
    return image;
  }));
  const { context, update } = canvasOf(viewer, images[0].width);
  return (step) => {
    const before = Math.min(Math.floor(step), images.length - 1);
    context.globalAlpha = 1;
    context.drawImage(images[before], 0, 0);
    context.globalAlpha = step - before;
    if (step > before) context.drawImage(images[before + 1], 0, 0);
    update();
  };
}

if (document.createElement("canvas").getContext("webgl2")) drawLate(".turntable", turn);
