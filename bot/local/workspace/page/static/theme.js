// Runs before the page is drawn, so that a chosen theme never flashes the other one.
document.documentElement.dataset.theme = localStorage.getItem("theme") ?? "system";
