// Runs the released generator in the reader's browser: see _pipeline/in_browser.py.
const STATIC = new URL(".", document.currentScript.src);
const MM = 1e-3; // metres, the viewer's unit
let session; // of the network, once a face was asked for

function loadScript(name) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(name, STATIC);
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${name} cannot be read`));
    document.head.append(script);
  });
}

// Pages that were opened as files may fetch what is written in the address itself.
async function unpacked(base64) {
  const packed = await fetch(`data:application/octet-stream;base64,${base64}`);
  const stream = packed.body.pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

async function startSession() {
  await Promise.all(["generator_runtime.js", "generator_weights.js"].map(loadScript));
  const { module, wasm } = generatorRuntime;
  const files = await Promise.all([module, wasm, generatorWeights.model].map(unpacked));
  generatorRuntime = generatorWeights = undefined; // tens of megabytes
  const code = new Blob([files[0]], { type: "text/javascript" });
  Object.assign(ort.env.wasm, {
    numThreads: 1, // more need a server's permission
    wasmPaths: { mjs: URL.createObjectURL(code) },
    wasmBinary: files[1],
  });
  return ort.InferenceSession.create(files[2], { executionProviders: ["wasm"] });
}

// The texture (side * side * 3, in [-1, 1]) and the geometry (m * 3, mm) of latent numbers.
async function generate(latent, code) {
  session ??= startSession();
  const network = await session;
  const row = (numbers) => new ort.Tensor("float32", Float32Array.from(numbers), [1, numbers.length]);
  const start = performance.now();
  const { texture, geometry } = await network.run({ latent: row(latent), code: row(code) });
  return {
    texture: texture.data,
    side: texture.dims[1],
    geometry: geometry.data,
    seconds: (performance.now() - start) / 1000,
  };
}

function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

// Between two vectors of normal numbers, as likely as both: on a great circle.
function between(a, b, t) {
  const length = (v) => Math.hypot(...v);
  const cosine = a.reduce((sum, x, i) => sum + x * b[i], 0) / (length(a) * length(b));
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (Math.sin(angle) < 1e-6) return b;
  const [p, q] = [Math.sin((1 - t) * angle), Math.sin(t * angle)].map((s) => s / Math.sin(angle));
  const size = (1 - t) * length(a) + t * length(b);
  return a.map((x, i) => ((p * x) / length(a) + (q * b[i]) / length(b)) * size);
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// The viewer's mesh, whose vertices are moved in place: it has no public way to that.
function meshIn(viewer) {
  const symbol = Object.getOwnPropertySymbols(viewer).find((s) => s.description === "scene");
  const scene = viewer[symbol];
  const meshes = [];
  scene.model.traverse((part) => part.isMesh && meshes.push(part));
  const [mesh] = meshes;
  const Attribute = mesh.geometry.index.constructor;
  const positions = new Attribute(new Float32Array(3 * mesh.geometry.attributes.uv.count), 3);
  return (vertices) => {
    positions.array.set(vertices);
    positions.needsUpdate = true;
    if (mesh.geometry.attributes.position !== positions) {
      mesh.geometry.setAttribute("position", positions);
      mesh.geometry.deleteAttribute("normal");
      mesh.position.set(0, 0, 0);
      mesh.scale.setScalar(MM);
    }
    mesh.geometry.computeVertexNormals();
    mesh.geometry.computeBoundingSphere();
    scene.queueRender();
  };
}

class Page {
  constructor(holder) {
    const content = JSON.parse(holder.querySelector("script").textContent);
    Object.assign(this, content, { holder, picture: holder.querySelector("img") });
    this.before = this.now = { latent: this.latent, code: this.code };
    this.differences = Object.entries(this.expressions).map(([name, base64]) => {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      return [name, new Int16Array(bytes.buffer)];
    });
    this.canvas = element("canvas", { width: 0, hidden: true, className: "generator-texture" });
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", "The texture of the face");
    this.said = element("output", {}, "");
    this.button = element("button", { type: "button", onclick: () => this.renew() }, "New face");
    this.variation = this.range("Distance from the mean face", 1, () => this.make());
    this.way = this.range("From the face before to this one", 1, () => this.make());
    this.way.disabled = true;
    this.choice = element("select", { onchange: () => this.shape() });
    this.choice.append(...this.differences.map(([name]) => element("option", {}, name)));
    this.choice.setAttribute("aria-label", "Expression");
    this.strength = this.range(this.choice, 0, () => this.shape());
    const ranges = [this.variation, this.way, this.strength].map((range) => range.parentElement);
    const line = element("div", { className: "generator-line" }, this.button, this.said);
    holder.querySelector("p").remove();
    holder.append(element("div", { className: "generator-controls" }, line, ...ranges), this.canvas);
  }

  range(title, value, oninput) {
    const range = element("input", { type: "range", min: 0, max: 1, step: 0.01, value, oninput });
    if (typeof title === "string") {
      element("label", {}, title, range);
    } else {
      range.setAttribute("aria-label", "Strength of the expression");
      element("div", { className: "generator-line" }, title, range);
    }
    return range;
  }

  // The face that is in the page turns before the network is loaded.
  async turn() {
    if (!document.createElement("canvas").getContext("webgl2")) return;
    const viewer = viewerOf(this.picture.alt, this.face.glb);
    this.holder.prepend(viewer);
    try {
      await new Promise((resolve, reject) => {
        viewer.addEventListener("load", resolve, { once: true });
        viewer.addEventListener("error", reject, { once: true });
      });
      this.picture.hidden = true;
      this.viewer = viewer;
    } catch {
      viewer.remove();
    }
  }

  renew() {
    this.before = this.now;
    const draw = (numbers) => numbers.map(normal);
    this.now = { latent: draw(this.latent), code: draw(this.code) };
    this.way.value = this.way.max;
    this.way.disabled = false;
    return this.make();
  }

  // One face at a time; what is asked for meanwhile is made next.
  async make() {
    this.asked = true;
    if (this.busy) return;
    this.busy = true;
    if (!session) this.said.textContent = "Loading the network …";
    try {
      while (this.asked) {
        this.asked = false;
        const t = Number(this.way.value);
        const latent = between(this.before.latent, this.now.latent, t);
        const code = between(this.before.code, this.now.code, t);
        const share = Number(this.variation.value);
        this.made = await generate(latent.map((x) => share * x), code);
        this.paint();
        this.shape();
        this.said.textContent = `Made in ${this.made.seconds.toFixed(2)} s`;
      }
      this.holder.classList.add("made");
    } catch (error) {
      this.said.textContent = `This browser cannot run the network: ${error.message}`;
    }
    this.busy = false;
  }

  paint() {
    const { texture, side } = this.made;
    const pixels = new ImageData(side, side);
    for (let i = 0; i < side * side; i++) {
      for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = texture[3 * i + c] * 127.5 + 127.5;
      pixels.data[4 * i + 3] = 255;
    }
    Object.assign(this.canvas, { width: side, height: side, hidden: false });
    this.canvas.getContext("2d").putImageData(pixels, 0, 0);
    if (!this.viewer) return;
    this.skin ??= canvasOf(this.viewer, side);
    this.skin.context.drawImage(this.canvas, 0, 0);
    this.skin.update();
  }

  // The expression is added here: it needs no network, but the geometry of a face that it made.
  shape() {
    if (!this.made) return this.make();
    if (!this.viewer) return undefined;
    this.move ??= meshIn(this.viewer);
    const difference = this.differences[this.choice.selectedIndex][1];
    const share = Number(this.strength.value) * this.step;
    this.move(this.made.geometry.map((mm, i) => mm + share * difference[i]));
    return undefined;
  }
}

if (globalThis.WebAssembly && globalThis.DecompressionStream) {
  document.querySelectorAll(".generator").forEach(async (holder) => {
    const page = new Page(holder);
    await page.turn();
    holder.classList.add("drawn");
  });
}
