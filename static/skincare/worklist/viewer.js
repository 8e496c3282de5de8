// Zoom and pan of photographs, by wheel, drag, touch and keys; all panes move together. No photograph is changed.
export function viewer(root) {
  const panes = [...root.querySelectorAll("[data-pane]")];
  const pictures = () => [...root.querySelectorAll("[data-pane] img")];
  const MOST = 12;
  let scale = 1, x = 0, y = 0;
  const pointers = new Map();
  // Buttons and keys glide; wheel and fingers follow at once.
  const glide = (on) => root.classList.toggle("glide", on);

  function draw() {
    const { clientWidth: width, clientHeight: height } = panes[0];
    x = Math.min(0, Math.max(width * (1 - scale), x));
    y = Math.min(0, Math.max(height * (1 - scale), y));
    for (const picture of pictures()) picture.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    root.dataset.scale = scale.toFixed(2);
  }
  function zoom(factor, atX = panes[0].clientWidth / 2, atY = panes[0].clientHeight / 2) {
    const next = Math.min(MOST, Math.max(1, scale * factor));
    x = atX - (atX - x) * (next / scale);
    y = atY - (atY - y) * (next / scale);
    scale = next;
    draw();
  }
  function fit() { scale = 1; x = y = 0; draw(); }
  function toggle() { glide(true); if (scale > 1) fit(); else zoom(3); }

  for (const pane of panes) {
    const place = (event) => { const box = pane.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    pane.addEventListener("wheel", (event) => { event.preventDefault(); glide(false); zoom(Math.exp(-event.deltaY / 400), ...place(event)); }, { passive: false });
    pane.addEventListener("dblclick", (event) => { if (scale > 1) fit(); else zoom(3, ...place(event)); });
    pane.addEventListener("pointerdown", (event) => { glide(false); pane.setPointerCapture(event.pointerId); pointers.set(event.pointerId, place(event)); });
    pane.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const now = place(event);
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
      if (other) zoom(Math.hypot(now[0] - other[0], now[1] - other[1]) / Math.max(1, Math.hypot(before[0] - other[0], before[1] - other[1])), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      else { x += now[0] - before[0]; y += now[1] - before[1]; draw(); }
      pointers.set(event.pointerId, now);
    });
    for (const end of ["pointerup", "pointercancel"]) pane.addEventListener(end, (event) => pointers.delete(event.pointerId));
    pane.addEventListener("keydown", (event) => {
      const step = 60;
      const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
      if (event.key === "+" || event.key === "=") zoom(1.3);
      else if (event.key === "-") zoom(1 / 1.3);
      else if (event.key === "0") fit();
      else if (moves[event.key]) { x += moves[event.key][0]; y += moves[event.key][1]; draw(); }
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }
  for (const button of root.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => { glide(true); ({ in: () => zoom(1.5), out: () => zoom(1 / 1.5), fit })[button.dataset.zoom](); });
  }
  const brightness = root.querySelector("#brightness"), contrast = root.querySelector("#contrast");
  const light = () => { for (const picture of pictures()) if (picture.id !== "map") picture.style.filter = `brightness(${brightness.value}%) contrast(${contrast.value}%)`; };
  brightness.addEventListener("input", light);
  contrast.addEventListener("input", light);
  root.querySelector("#plain").addEventListener("click", () => { brightness.value = contrast.value = 100; light(); });

  const photograph = root.querySelector("#photograph"), map = root.querySelector("#map"), strength = root.querySelector("#map-strength");
  function overlay() {
    if (!map) return;
    const chosen = root.querySelector('.thumb[aria-pressed="true"]');
    map.hidden = strength.value === "0" || chosen.dataset.position !== map.dataset.position;
    map.style.opacity = strength.value / 100;
  }
  strength?.addEventListener("input", overlay);
  const thumbs = [...root.querySelectorAll(".thumb")];
  for (const thumb of thumbs) {
    thumb.addEventListener("click", () => {
      for (const each of thumbs) each.setAttribute("aria-pressed", String(each === thumb));
      photograph.src = thumb.dataset.photograph;
      photograph.alt = thumb.dataset.label;
      overlay();
    });
  }
  const compare = root.querySelector("#compare");
  compare?.addEventListener("change", () => {
    const picture = root.querySelector("#earlier-photograph");
    root.querySelector("#earlier-pane").hidden = compare.value === "";
    if (compare.value) { picture.src = compare.value; picture.alt = compare.selectedOptions[0].text; }
    fit();
  });
  function step(by) {
    const at = thumbs.findIndex((thumb) => thumb.getAttribute("aria-pressed") === "true");
    thumbs[(at + by + thumbs.length) % thumbs.length]?.click();
  }
  function next() {
    if (!compare) return;
    compare.selectedIndex = (compare.selectedIndex + 1) % compare.options.length;
    compare.dispatchEvent(new Event("change"));
  }
  // What was set before this ran, or what the browser kept over a reload, is what is seen.
  light();
  overlay();
  if (compare?.value) compare.dispatchEvent(new Event("change"));
  function brighten(by) { brightness.value = Number(brightness.value) + by; light(); }
  return { toggle, step, brighten, compare: next, fit: () => { glide(true); fit(); }, zoom: (factor) => { glide(true); zoom(factor); } };
}
