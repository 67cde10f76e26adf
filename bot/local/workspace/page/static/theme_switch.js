// The button that goes through the themes: as the system, light, dark. theme.js applies the choice on load.

const button = document.getElementById("theme");
const THEMES = { system: "light", light: "dark", dark: "system" };
function showTheme() {
  const theme = document.documentElement.dataset.theme;
  const label = `Theme: ${theme === "system" ? "as the system" : theme}`;
  button.title = label;
  button.setAttribute("aria-label", label);
}
button.addEventListener("click", () => {
  const theme = THEMES[document.documentElement.dataset.theme] ?? "system";
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("theme", theme);
  showTheme();
});

showTheme();
