// The legend shows, hides and lights up contenders in every chart at once.
(() => {
  const buttons = [...document.querySelectorAll(".legend .one")];
  const lines = (who) => document.querySelectorAll(`.line[data-who="${who}"]`);
  const TALL = 14;

  // Names at the ends of the lines that are shown, moved little so that none covers another.
  const part = (plot) => {
    const tall = plot.querySelector(".area").getBoundingClientRect().height;
    const tags = [...plot.querySelectorAll(".line:not(.off, .aside) > .tag")];
    if (plot.classList.contains("scatter") || !tall) return;
    const where = (tag) => (tag.home ??= parseFloat(tag.dataset.home) / 100);
    const blocks = [];
    const top = (block) => {
      const mean = block.reduce((sum, tag) => sum + where(tag) * tall, 0) / block.length;
      const height = block.length * TALL;
      return Math.max(0, Math.min(mean - height / 2, tall - height));
    };
    for (const tag of tags.sort((a, b) => where(a) - where(b))) {
      blocks.push([tag]);
      while (blocks.length > 1 && top(blocks.at(-2)) + blocks.at(-2).length * TALL > top(blocks.at(-1))) {
        const last = blocks.pop();
        blocks.at(-1).push(...last);
      }
    }
    for (const block of blocks) {
      block.forEach((tag, i) => tag.setAttribute("y", `${(100 * (top(block) + (i + 0.5) * TALL)) / tall}%`));
    }
  };

  const show = (button, shown) => {
    button.setAttribute("aria-pressed", shown);
    for (const line of lines(button.dataset.who)) {
      line.classList.toggle("off", !shown);
      line.classList.remove("aside");
    }
  };
  const settle = () => document.querySelectorAll(".compare .plot").forEach(part);

  for (const button of buttons) {
    button.addEventListener("click", () => {
      show(button, button.getAttribute("aria-pressed") !== "true");
      settle();
    });
    const light = (on) => {
      if (button.getAttribute("aria-pressed") !== "true") on = false;
      for (const line of lines(button.dataset.who)) {
        line.classList.toggle("on", on);
        line.closest(".plot").classList.toggle("lit", on);
      }
    };
    button.addEventListener("pointerenter", (event) => light(event.pointerType === "mouse"));
    button.addEventListener("pointerleave", () => light(false));
    button.addEventListener("click", () => light(false));
  }
  for (const pick of document.querySelectorAll("[data-pick]")) {
    pick.addEventListener("click", () => {
      for (const button of buttons) {
        const best = !("aside" in button.dataset);
        show(button, pick.dataset.pick === "all" || (pick.dataset.pick === "best" && best));
      }
      settle();
    });
  }
  for (const whole of document.querySelectorAll("[data-whole]")) {
    whole.addEventListener("click", () => {
      const wanted = whole.dataset.whole.split(" ");
      const own = buttons.filter((button) => wanted.includes(button.dataset.who));
      const shown = own.every((button) => button.getAttribute("aria-pressed") === "true");
      own.forEach((button) => show(button, !shown));
      settle();
    });
  }
})();
