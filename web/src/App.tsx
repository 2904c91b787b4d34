import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { BrowserRouter, Navigate, Route, Routes } from "react-router";

const queries = new QueryClient();

/** The pages by their addresses. Each page lies in `pages/`. */
export function App() {
  return (
    <QueryClientProvider client={queries}>
      <BrowserRouter>
        <Routes>
          <Route path="*" element={<Navigate to="/worklist" replace />} />
        </Routes>
      </BrowserRouter>
    </QueryClientProvider>
  );
}
