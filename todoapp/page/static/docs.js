// A file of its own, because a strict content policy allows no inline script.
SwaggerUIBundle({
	url: document.getElementById("docs").dataset.url,
	dom_id: "#docs",
	deepLinking: true,
});
