// Before the first paint: the theme that was chosen, if it is not the system's. The page's only script that blocks.
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("penstock.theme");
  } catch {
    // Storage is forbidden: the system's theme it is.
  }
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
}
