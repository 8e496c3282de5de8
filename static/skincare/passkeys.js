// Says in words why a passkey did not work. allauth's script does the rest.
document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  const problem = document.getElementById("passkey-problem");
  const { name } = event.detail.exception;
  const said = { NotAllowedError: "refused", InvalidStateError: "known" }[name] ?? "unable";
  problem.textContent = problem.dataset[said];
  problem.hidden = false;
});
