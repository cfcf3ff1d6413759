// Shows the newest todos.
const { api } = document.documentElement.dataset;
const list = document.getElementById("todos");

const query = new URLSearchParams({ sort_by: "id", order: "desc", limit: "50" });
const response = await fetch(`${api}?${query}`);
if (response.ok) {
  const todos = await response.json();
  list.replaceChildren(
    ...todos.map((todo) => {
      const item = document.createElement("li");
      item.textContent = todo.description;
      return item;
    }),
  );
}
list.dataset.state = response.ok ? "shown" : "failed";
