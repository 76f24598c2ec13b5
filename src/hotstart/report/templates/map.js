// Pointing at a mark of a map, tapping it, or the arrow keys, show its picture.
(() => {
  const REACH_PX = { mouse: 18, pen: 24, touch: 32 };

  document.querySelectorAll("[data-maps]").forEach((article) => {
    const { plots, names, labels, groups, per_row, shown_px } = JSON.parse(article.dataset.maps);
    const area = article.querySelector(".plots");
    const card = article.querySelector(".thumb");
    const [thumbnail, label, name] = card.children;
    const maps = [...article.querySelectorAll("svg.map")];
    const buttons = [...article.querySelectorAll("button.class")];
    const rings = maps.map((map) => map.querySelector(".ring"));
    let only = null;
    let shown = null;

    thumbnail.style.width = thumbnail.style.height = shown_px + "px";
    thumbnail.style.backgroundSize = per_row * shown_px + "px auto";

    const hide = () => {
      shown = null;
      card.hidden = true;
      article.classList.remove("peeking");
    };

    // The picture's card beside its mark, on whichever side there is room.
    const show = (m, i) => {
      shown = i;
      rings.forEach((ring, k) => {
        ring.setAttribute("cx", plots[k].x[i]);
        ring.setAttribute("cy", plots[k].y[i]);
      });
      const left = (i % per_row) * shown_px, top = Math.floor(i / per_row) * shown_px;
      thumbnail.style.backgroundPosition = `-${left}px -${top}px`;
      label.textContent = labels[i];
      name.textContent = names[i];
      card.dataset.i = i;
      card.hidden = false;
      article.classList.add("peeking");
      const around = area.getBoundingClientRect(), box = maps[m].getBoundingClientRect();
      const scale = box.width / maps[m].viewBox.baseVal.width;
      const x = box.left - around.left + plots[m].x[i] * scale;
      const y = box.top - around.top + plots[m].y[i] * scale;
      const fits = x + 14 + card.offsetWidth <= area.clientWidth;
      const wanted = fits ? x + 14 : x - 14 - card.offsetWidth;
      const most = area.clientWidth - card.offsetWidth;
      card.style.left = Math.max(0, Math.min(wanted, most)) + "px";
      card.style.top = Math.max(0, Math.min(y + 14, area.clientHeight - card.offsetHeight)) + "px";
    };

    const nearest = (m, event) => {
      const box = maps[m].getBoundingClientRect();
      const scale = maps[m].viewBox.baseVal.width / box.width;
      const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
      let best = null, least = (REACH_PX[event.pointerType] ?? REACH_PX.mouse) * scale;
      names.forEach((_, i) => {
        if (only !== null && groups[i] !== only) return;
        const distance = Math.hypot(plots[m].x[i] - x, plots[m].y[i] - y);
        if (distance < least) [best, least] = [i, distance];
      });
      return best;
    };

    maps.forEach((map, m) => {
      const look = (event) => {
        const i = nearest(m, event);
        if (i === null) hide(); else show(m, i);
      };
      map.addEventListener("pointermove", look);
      map.addEventListener("pointerdown", look);
      map.addEventListener("pointerleave", (event) => {
        if (event.pointerType === "mouse") hide();
      });
      map.addEventListener("blur", (event) => {
        if (!area.contains(event.relatedTarget)) hide();
      });
      map.addEventListener("keydown", (event) => {
        const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (event.key === "Escape") hide();
        if (way === undefined) return;
        event.preventDefault();
        const asked = names.map((_, i) => i).filter((i) => only === null || groups[i] === only);
        const at = asked.indexOf(shown);
        const next = at < 0 ? 0 : (at + way + asked.length) % asked.length;
        show(m, asked[next]);
      });
    });

    // A class alone; the same button again, and all are back.
    buttons.forEach((button, group) => button.addEventListener("click", () => {
      only = only === group ? null : group;
      hide();
      buttons.forEach((other, k) => other.setAttribute("aria-pressed", only === k));
      maps.forEach((map) => map.querySelectorAll("path").forEach((path, k) => {
        path.classList.toggle("dim", only !== null && only !== k);
      }));
    }));
    addEventListener("pointerdown", (event) => {
      if (!area.contains(event.target)) hide();
    });
  });
})();
