// Points on a canvas: by WebGL where a graphics card does it, else pixel by pixel, which is quicker than WebGL in software.

const VERTEX = `#version 300 es
in vec2 place;
in vec4 colour;
uniform vec2 centre;
uniform vec2 stretch;
uniform float size;
out vec4 shade;
void main() {
  shade = colour;
  gl_Position = vec4((place - centre) * stretch, 0.0, 1.0);
  gl_PointSize = size;
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec4 shade;
uniform float size;
out vec4 result;
void main() {
  float edge = (0.5 - distance(gl_PointCoord, vec2(0.5))) * size;
  float alpha = shade.a * clamp(edge + 0.5, 0.0, 1.0);
  result = vec4(shade.rgb * alpha, alpha);
}`;

/**
 * Something that draws records of 16 bytes (x, y as float32, two int32) with colours (RGBA bytes, one a record).
 * `force` is "canvas", or "webgl" for WebGL even in software. Null if WebGL began and failed.
 */
export function renderer(canvas, buffer, force = "") {
  if (force === "webgl" || (force !== "canvas" && hasGraphicsCard())) {
    const gl = canvas.getContext("webgl2", { antialias: false });
    if (gl) {
      try { return new ByWebGL(gl, buffer); } catch { return null; }
    }
  }
  return new ByPixels(canvas.getContext("2d"), buffer);
}

/** Asked of a canvas of its own, since a canvas has one kind of context for ever. */
function hasGraphicsCard() {
  const gl = document.createElement("canvas").getContext("webgl2", { failIfMajorPerformanceCaveat: true });
  if (!gl) return false;
  const more = gl.getExtension("WEBGL_debug_renderer_info");
  const name = gl.getParameter(more ? more.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return !/swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}

class ByWebGL {
  kind = "WebGL";

  constructor(gl, buffer) {
    this.gl = gl;
    this.n = buffer.byteLength / 16;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? "no WebGL");
    gl.useProgram(program);
    this.uniform = Object.fromEntries(["centre", "stretch", "size"].map((name) => [name, gl.getUniformLocation(program, name)]));
    this.#attribute(program, "place", buffer, gl.FLOAT, 2, 16, false);
    this.colours = this.#attribute(program, "colour", new Uint8Array(4 * this.n), gl.UNSIGNED_BYTE, 4, 4, true);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  #attribute(program, name, data, type, parts, stride, normalised) {
    const { gl } = this;
    const place = gl.getAttribLocation(program, name);
    const stored = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, stored);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, parts, type, normalised, stride, 0);
    return stored;
  }

  colour(colours) {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.colours);
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, colours);
  }

  draw(camera, size, ratio) {
    const { gl, uniform } = this;
    const { width, height } = gl.canvas;
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform2f(uniform.centre, camera.now.x, camera.now.y);
    gl.uniform2f(uniform.stretch, (2 * camera.scale) / camera.width, (-2 * camera.scale) / camera.height);
    gl.uniform1f(uniform.size, size * ratio);
    gl.drawArrays(gl.POINTS, 0, this.n);
  }

  end() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

/** Where the rows of a disc begin and end, as distances in memory from its upper left corner. */
function disc(side, width) {
  const rows = new Int32Array(2 * side);
  for (let row = 0; row < side; row += 1) {
    const half = Math.sqrt(Math.max(0, (side / 2) ** 2 - (row + 0.5 - side / 2) ** 2));
    rows[2 * row] = row * width + Math.round(side / 2 - half);
    rows[2 * row + 1] = row * width + Math.round(side / 2 + half);
  }
  return rows;
}

class ByPixels {
  kind = "canvas";

  constructor(context, buffer) {
    this.context = context;
    this.places = new Float32Array(buffer);
    this.n = buffer.byteLength / 16;
  }

  colour(colours) {
    this.colours = new Uint32Array(colours.buffer); // bytes in the order of a picture's, whatever this machine's is
  }

  draw(camera, size, ratio) {
    const { context, places, colours, n } = this;
    const { width, height } = context.canvas;
    if (!this.picture || this.picture.width !== width || this.picture.height !== height) {
      this.picture = context.createImageData(width, height);
      this.pixels = new Uint32Array(this.picture.data.buffer);
    }
    const { pixels } = this;
    pixels.fill(0);
    const scale = camera.scale * ratio;
    const side = Math.max(1, Math.round(size * ratio));
    const rows = disc(side, width);
    const left = width / 2 - camera.now.x * scale - side / 2;
    const top = height / 2 - camera.now.y * scale - side / 2;
    for (let i = 0; i < n; i += 1) {
      const x = Math.round(left + places[4 * i] * scale);
      const y = Math.round(top + places[4 * i + 1] * scale);
      if (x < 0 || y < 0 || x + side > width || y + side > height) continue;
      const corner = y * width + x;
      for (let row = 0; row < side; row += 1) {
        for (let at = corner + rows[2 * row]; at < corner + rows[2 * row + 1]; at += 1) pixels[at] = colours[i];
      }
    }
    context.putImageData(this.picture, 0, 0);
  }

  end() { /* nothing is held */ }
}
