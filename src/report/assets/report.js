// Search and filters over what the page already holds. Without it everything is there, only not filtered.
(() => {
  'use strict';
  const by = (id) => document.getElementById(id);
  const tools = by('tools');
  if (!tools) return;
  const all = (selector) => Array.from(document.querySelectorAll(selector));

  // A key passes if it is of the stage and of the action that are chosen.
  const passes = (key) =>
    (!by('stage').value || key.dataset.s === by('stage').value) && (!by('action').value || key.dataset.a === by('action').value);

  const apply = () => {
    const word = by('search').value.trim().toLowerCase();
    const chosen = by('stage').value || by('action').value;
    const hits = new Set();
    const named = new Set();
    const near = new Set();
    let shown = 0;
    const tables = all('.tables > details');
    for (const table of tables) {
      const keys = Array.from(table.querySelectorAll('.keys > li'));
      let passing = 0;
      for (const key of keys) {
        key.hidden = !passes(key);
        passing += key.hidden ? 0 : 1;
      }
      const of = (name) => name.toLowerCase().includes(word);
      const own = of(table.querySelector('summary code').textContent);
      const hit = (own || keys.some((key) => !key.hidden && of(key.dataset.k))) && (!chosen || passing > 0);
      table.hidden = !hit;
      shown += hit ? 1 : 0;
      if (hit) hits.add(table.dataset.t);
      if (hit && own) named.add(table.dataset.t);
    }
    for (const key of all('.graph > g')) {
      const touches = named.has(key.dataset.c) || named.has(key.dataset.p) || key.dataset.k.toLowerCase().includes(word);
      const seen = passes(key) && touches;
      key.classList.toggle('dim', !seen);
      if (seen) near.add(key.dataset.c).add(key.dataset.p);
    }
    for (const node of all('.graph .node')) {
      const hit = hits.has(node.dataset.t);
      node.classList.toggle('dim', !hit && !near.has(node.dataset.t));
      node.classList.toggle('hit', Boolean(word) && named.has(node.dataset.t));
    }
    for (const row of all('[data-row]')) {
      const stage = by('stage').value;
      const other = row.dataset.s !== undefined && stage !== '' && row.dataset.s !== stage;
      row.hidden = other || (word !== '' && !row.textContent.toLowerCase().includes(word));
    }
    for (const fold of all('[data-fold]')) {
      fold.hidden = !fold.querySelector('tr[data-row]:not([hidden])');
    }
    by('count').textContent = word || chosen ? `${shown} of ${tables.length} tables` : '';
  };

  // A table that is gone to by its address is unfolded.
  const unfold = () => {
    const table = /^#t\d+$/.test(location.hash) && document.querySelector(location.hash);
    if (table) {
      table.hidden = false;
      table.open = true;
      table.scrollIntoView({ block: 'nearest' });
    }
  };

  tools.hidden = false;
  tools.addEventListener('input', apply);
  document.addEventListener('report-replaced', apply);
  window.addEventListener('hashchange', unfold);
  unfold();
})();
