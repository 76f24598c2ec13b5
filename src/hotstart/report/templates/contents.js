// The list of sections tells where the reader is; from further down a link leads back to it.
(() => {
  const nav = document.querySelector("#contents");
  const back = document.querySelector(".back");
  const links = new Map([...nav.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
  const inside = new Set();

  // Of the sections on the screen the first; where a tall one fills it, that one.
  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) inside.add(target.id);
      else inside.delete(target.id);
    }
    const now = [...links.keys()].find((id) => inside.has(id));
    for (const [id, link] of links) {
      if (id === now) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }, { rootMargin: "-80px 0px -50% 0px" });
  for (const section of document.querySelectorAll("main section")) watch.observe(section);

  new IntersectionObserver(([{ isIntersecting, boundingClientRect }]) => {
    back.hidden = isIntersecting || boundingClientRect.top > 0;
  }).observe(nav);
})();
