// The list of sections tells where the reader is; from further down a link leads back to it.
(() => {
  const HERE_PX = 120; // below the top edge and what sticks to it
  const nav = document.querySelector("#contents");
  const back = document.querySelector(".back");
  const links = new Map([...nav.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
  const sections = [...document.querySelectorAll("main section")];

  const look = () => {
    const root = document.documentElement;
    const over = root.scrollTop + root.clientHeight >= root.scrollHeight - 2;
    const begun = sections.filter((section) => section.getBoundingClientRect().top <= HERE_PX);
    const now = over && root.scrollTop > 0 ? sections.at(-1) : begun.at(-1);
    for (const [id, link] of links) {
      if (id === now?.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    back.hidden = nav.getBoundingClientRect().bottom > 0;
  };
  // A browser tells of scrolling once a frame, so this needs no delay of its own.
  addEventListener("scroll", look, { passive: true });
  addEventListener("resize", look);
  look();
})();
