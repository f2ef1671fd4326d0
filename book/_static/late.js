// Draws each element when it comes near the window: reading a face takes a moment, and a browser
// keeps about a dozen WebGL views alive.
function drawLate(selector, draw) {
  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (isIntersecting) {
          near.unobserve(target);
          draw(target);
        }
      }
    },
    { rootMargin: "400px" },
  );
  document.querySelectorAll(selector).forEach((element) => near.observe(element));
}
