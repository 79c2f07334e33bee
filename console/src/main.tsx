import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { showWhoBy } from './api.ts';
import { App } from './app.tsx';
import { stepUp } from './passkeys.ts';
import './styles/tokens.css';
import './styles/base.css';
import './styles/shell.css';
import './styles/queue.css';
import './styles/plan.css';
import './styles/ledger.css';
import './styles/lists.css';

showWhoBy(stepUp);
const root = document.getElementById('console');
if (root === null) throw new Error('the page has no place for the console');
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
