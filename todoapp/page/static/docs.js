// In a file of its own, because the Content Security Policy does not allow inline scripts.
SwaggerUIBundle({
	url: document.getElementById("docs").dataset.url,
	dom_id: "#docs",
	deepLinking: true,
});
